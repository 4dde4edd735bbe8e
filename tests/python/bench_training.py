"""Training speed and memory against transformers + PEFT: same model, rows, precision and threads, interleaved in one run.

    cargo build -p driftgauge-lm --example bench_train
    python tests/python/bench_training.py --ours target/debug/examples/bench_train [--rounds 3] [--case lora-small]

Each round runs both sides once, one after the other, in processes of their own; the table shows the medians over all
steps of all rounds. The losses of both sides are compared too (a LoRA's first factor starts at random numbers that
differ, so there only the first loss is equal). Needs torch, transformers and peft.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from bench_models import SHAPES, write_model

HERE = Path(__file__).parent
# name: (model, type that it is stored in, batch, tokens per row, LoRA rank or 0 for every weight, measured steps); both sides compute in f32
CASES = {
    "lora-small": ("small", "float32", 16, 64, 16, 20),
    "scratch-small": ("small", "float32", 16, 64, 0, 20),
    "lora-base": ("base", "float32", 2, 128, 16, 5),
    "lora-base-bf16": ("base", "bfloat16", 2, 128, 16, 5),
}
WARMUP = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True, help="the built example bench_train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--models", type=Path, help="where to keep the models between runs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = args.models or Path(scratch)
        print(f"{'case':<14} {'torch tok/s':>11} {'ours tok/s':>11} {'ratio':>6} {'best':>6} {'torch MiB':>9} {'ours MiB':>9} {'max loss diff':>13}")
        for case in args.case or CASES:
            measure(case, args, models, Path(scratch))


def measure(case: str, args: argparse.Namespace, models: Path, scratch: Path) -> None:
    model, stored, batch, time, rank, steps = CASES[case]
    folder = write_model(model, models, getattr(torch, stored))
    source = random.Random(case)
    rows = [[source.randrange(4, SHAPES[model]["vocab_size"]) for _ in range(time)] for _ in range(batch * (WARMUP + steps))]
    (scratch / "ids.json").write_text(json.dumps(rows))
    (scratch / "words.json").write_text(json.dumps([" ".join(f"w{i}" for i in row) for row in rows]))
    # The last one as the driver sets it for a worker that trains: `keeps_memory` in core/graph/src/exec/process.rs.
    environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads), "OMP_NUM_THREADS": str(args.threads), "MIMALLOC_PURGE_DELAY": "-1"}
    torch_command = [
        sys.executable, HERE / "bench_torch_side.py", "--model", folder, "--rows", scratch / "ids.json",
        "--batch", batch, "--warmup", WARMUP, "--threads", args.threads, "--rank", rank,
    ]
    sides = {"torch": [], "ours": []}
    for number in range(args.rounds):
        out = scratch / f"{case}-{number}"
        ours_command = [args.ours, folder, scratch / "words.json", batch, WARMUP, rank, out]
        for side, command in (("torch", torch_command), ("ours", ours_command)):
            run = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
            if run.returncode != 0:
                sys.exit(run.stderr)
            sides[side].append(json.loads(run.stdout.splitlines()[-1]))
    tokens = batch * time
    if sides["ours"][0]["tokens_per_step"] != tokens or sides["ours"][0]["trainable"] != sides["torch"][0]["trainable"]:
        sys.exit(f"{case}: the two sides do not train the same thing")
    speed = {side: tokens / statistics.median(s for run in runs for s in run["seconds"]) for side, runs in sides.items()}
    best = {side: tokens / min(s for run in runs for s in run["seconds"]) for side, runs in sides.items()}
    memory = {side: max(run["peak_mib"] for run in runs) for side, runs in sides.items()}
    pairs = list(zip(sides["torch"][0]["losses"], sides["ours"][0]["losses"]))
    difference = max(abs(a - b) for a, b in (pairs if rank == 0 else pairs[:1]))
    print(
        f"{case:<14} {speed['torch']:>11.0f} {speed['ours']:>11.0f} {speed['ours'] / speed['torch']:>6.2f} {best['ours'] / best['torch']:>6.2f} "
        f"{memory['torch']:>9.0f} {memory['ours']:>9.0f} {difference:>13.1e}",
        flush=True,
    )


if __name__ == "__main__":
    main()
