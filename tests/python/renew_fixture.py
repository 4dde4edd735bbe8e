"""Makes tests/fixtures/runs/smoke anew: a real run of tests/fixtures/smoke, with clocks, hosts and folders settled.

    cargo build && python tests/python/renew_fixture.py target/debug/driftgauge

Run it after a change of a file's format, then `cargo insta review` for the snapshots that rest on it.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
FIXTURE = TESTS / "fixtures/runs/smoke"
SETTLED = {
    "seconds": 0.5,
    "loading_seconds": 0.5,
    "tokens_per_second": 100.0,
    "peak_memory_bytes": 1_000_000,
    "started_unix": 1_700_000_000,
    "cores": 2,
    "jobs": 2,
    "workers": 1,
    "os": "linux",
    "arch": "x86_64",
}


def settled(value):
    """What differs from machine to machine becomes constant; numbers that were measured stay."""
    if isinstance(value, dict):
        return {
            key: SETTLED[key] if key in SETTLED and inner is not None else settled(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [settled(inner) for inner in value]
    if isinstance(value, str) and value.startswith("/"):
        return pathlib.Path(value).name
    return value


def main(binary):
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        # In its place: it names files of the repository.
        spec = TESTS / "fixtures/smoke"
        run = work / "run"
        command = [str(binary), "run", "smoke.yaml", "--out", str(run), "--store", str(work / "store")]
        subprocess.run(command, cwd=spec, check=True)
        shutil.rmtree(FIXTURE, ignore_errors=True)
        FIXTURE.mkdir(parents=True)
        for name in ["resolved", "lock", "plan", "metrics", "results", "provenance"]:
            value = json.loads((run / f"{name}.json").read_text())
            if name == "provenance":
                value["command"] = ["driftgauge", "run", "smoke.yaml", "--out", "run"]
            if name not in ("metrics", "results"):
                value = settled(value)
            text = json.dumps(value, indent=2, ensure_ascii=False)
            (FIXTURE / f"{name}.json").write_text(text + "\n")
        text = (run / "spec.yaml").read_text()
        # Files are named by their names alone: where one machine keeps them says nothing.
        named = re.sub(r'"/[^"]*/([^"/]+)"', r'"\1"', text)
        (FIXTURE / "spec.yaml").write_text(named)
        shutil.copytree(run / "samples", FIXTURE / "samples")
        for log in run.glob("models/*/train_log.jsonl"):
            lines = [json.dumps(settled(json.loads(line))) for line in log.read_text().splitlines()]
            to = FIXTURE / "models" / log.parent.name / log.name
            to.parent.mkdir(parents=True)
            to.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
