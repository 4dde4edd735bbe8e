"""Every speed that docs/performance.md tells, against its peer, in turns on one machine: prints the table.

    cargo build
    cargo build -p driftgauge -p driftgauge-lm -p driftgauge-plugin-host --examples
    python tests/python/bench_all.py --build target/debug [--rounds 2] [--only generate-small ...] [--real FOLDER] [--snakemake PROGRAM] [--dvc PROGRAM]

Both sides of a row run one after the other in each round, in processes of their own; the best of the rounds is kept (a shared machine is
slower for a while, never faster). Loading counts, importing Python's libraries does not. `--real` names a folder of
SmolLM2-135M-Instruct (tests/python/real_model.py makes one). Needs torch, transformers, peft, numpy, scipy, pandas and pyarrow; about eight
minutes on two cores.
"""

import argparse
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_models import SHAPES, with_bytes, write_model

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BATCH, PROMPTS, TOKENS = 64, 64, 32
ROWS = {}


def row(name):
    def add(measure):
        ROWS[name] = measure
        return measure

    return add


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        self.models = args.models or scratch
        self.threads = str(args.threads)
        self.environment = os.environ | {"RAYON_NUM_THREADS": self.threads, "OMP_NUM_THREADS": self.threads}

    def run(self, *command, **more):
        command = [str(part) for part in command]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, **more)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def example(self, name, *arguments):
        return json.loads(self.run(self.args.build / "examples" / name, *arguments).splitlines()[-1])

    def transformers(self, *arguments):
        command = [sys.executable, HERE / "bench_inference_side.py", *arguments, "--threads", self.threads]
        return json.loads(self.run(*command).splitlines()[-1])

    def in_turns(self, ours, theirs):
        """The best round of each side."""
        rounds = [(theirs(), ours()) for _ in range(self.args.rounds)]
        return max(mine for _, mine in rounds), max(other for other, _ in rounds)

    def lines(self, name, rows):
        path = self.scratch / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def words(self, model, seed, n):
        source = random.Random(seed)
        return " ".join(f"w{source.randrange(4, SHAPES[model]['vocab_size'])}" for _ in range(n))


SUBJECTS = ["the tides", "a good soup", "old maps", "bees in winter", "the colour of rust", "paper boats", "a long walk", "clay"]
ASKED = ["Tell me about {}.", "Why would somebody care about {}?", "Write two sentences on {}.", "What should a child know of {}?",
         "Name three things that go with {}.", "How did people long ago think of {}?", "Give a short answer: what is {}?", "Describe {}."]


def asked():
    return [ASKED[i // 8 % 8].format(SUBJECTS[i % 8]) for i in range(PROMPTS)]


def generation(bench, folder, rows, what):
    rows = bench.lines(f"prompts-{folder.name}.jsonl", rows)
    proof = bench.scratch / f"{folder.name}.proof"
    # The first load proves the model and remembers that, as a store does.
    bench.example("bench_generate", folder, rows, 2, proof)
    mine, other = bench.in_turns(
        lambda: bench.example("bench_generate", folder, rows, TOKENS, proof)["with_loading"],
        lambda: bench.transformers("generate", rows, folder, "--batch", BATCH, "--tokens", TOKENS)["with_loading"],
    )
    return [what, f"transformers, batch {BATCH}: {other:,.0f} tok/s", f"{mine:,.0f} tok/s", mine / other]


@row("generate-small")
def generate_small(bench):
    folder = with_bytes("small", bench.models)
    rows = [{"text": text[: 16 + i % 24]} for i, text in enumerate(asked())]
    return generation(bench, folder, rows, f"generate, 2 M parameters, {PROMPTS} prompts x {TOKENS} tokens")


@row("generate-base")
def generate_base(bench):
    folder = with_bytes("base", bench.models)
    rows = [{"text": text[: 16 + i % 24]} for i, text in enumerate(asked())]
    return generation(bench, folder, rows, f"generate, 134 M parameters, {PROMPTS} prompts x {TOKENS} tokens")


@row("generate-real")
def generate_real(bench):
    if not bench.args.real:
        return None
    chat = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    rows = [{"text": chat.format(text)} for text in asked()]
    return generation(bench, bench.args.real, rows, f"generate, SmolLM2-135M-Instruct, {PROMPTS} prompts x {TOKENS} tokens")


def given(bench, model, count, prompt, choice, choices):
    rows = [
        {"prompt": bench.words(model, i, prompt), "choices": [" " + bench.words(model, (i, c).__hash__(), choice) for c in range(choices)]}
        for i in range(count)
    ]
    return bench.lines(f"given-{model}-{count}-{choices}.jsonl", rows)


def alike(mine, other, what):
    if abs(mine["sum"] - other["sum"]) > 1e-4 * max(1.0, abs(other["sum"])):
        sys.exit(f"{what}: the sides do not agree: {mine['sum']} and {other['sum']}")


@row("choices-base")
def choices_base(bench):
    folder = write_model("base", bench.models)
    rows = given(bench, "base", 16, 40, 6, 4)
    mine = bench.example("bench_given", rows, folder)
    alike(mine, bench.transformers("choices", rows, folder, "--batch", 32), "choices")
    mine, other = bench.in_turns(
        lambda: bench.example("bench_given", rows, folder)["with_loading"],
        lambda: bench.transformers("choices", rows, folder, "--batch", 32)["with_loading"],
    )
    return ["score 16 x 4 choices of 6 tokens behind 40, 134 M parameters", f"transformers, batch 32: {other:.1f} choices/s", f"{mine:.1f} choices/s", mine / other]


@row("kl-small")
def kl_small(bench):
    model, reference = write_model("small", bench.models), bench.models / "small-2"
    if not reference.exists():
        import torch
        from transformers import LlamaForCausalLM

        tuned = LlamaForCausalLM.from_pretrained(model)
        torch.manual_seed(1)
        with torch.no_grad():
            for weight in tuned.parameters():
                weight += 0.01 * torch.randn_like(weight)
        tuned.save_pretrained(reference)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (reference / name).write_text((model / name).read_text())
    rows = given(bench, "small", 256, 40, 24, 1)
    mine = bench.example("bench_given", rows, model, reference)
    side = ["kl", rows, model, "--reference", reference, "--batch", 32]
    alike(mine, bench.transformers(*side), "kl")
    mine, other = bench.in_turns(
        lambda: bench.example("bench_given", rows, model, reference)["with_loading"],
        lambda: bench.transformers(*side)["with_loading"],
    )
    return ["KL of 256 answers of 24 tokens, 2 M parameters", f"transformers, batch 32: {other:.0f} answers/s", f"{mine:.0f} answers/s", mine / other]


TRAINING = {
    "lora-small": "LoRA r16, 2 M parameters, 16 x 64",
    "scratch-small": "from scratch, 2 M, 16 x 64",
    "lora-base": "LoRA r16, 134 M, 2 x 128",
    "lora-base-bf16": "LoRA r16, 134 M stored in bf16, 2 x 128",
}


def training(case):
    @row(case)
    def measure(bench):
        out = bench.run(
            sys.executable, HERE / "bench_training.py", "--ours", bench.args.build / "examples/bench_train", "--rounds", bench.args.rounds,
            "--threads", bench.threads, "--case", case, "--models", bench.models,
        )
        name, torch, ours, median, best, torch_mib, our_mib, difference = out.splitlines()[-1].split()
        what = f"{TRAINING[case]} (best step {best}; {our_mib} of {torch_mib} MiB; losses within {difference})"
        return [what, f"transformers + PEFT: {float(torch):,.0f} tok/s", f"{float(ours):,.0f} tok/s", float(median)]


for case in TRAINING:
    training(case)


PEAK = """import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)"""


def children_seconds(work):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - start


@row("cached-run")
def cached_run(bench):
    folder = bench.scratch / "cached"
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(f'{{"id": "{i}", "q": "a{i}", "a": "b{i}"}}\n' for i in range(4)))
    (folder / "said.jsonl").write_text("".join(f'{{"id": "{i}", "text": "b{i}"}}\n' for i in range(4)))
    evaluations = "".join(
        f"  e{i}: {{models: [m], dataset: rows, prompt: [{{user: \"{{{{ q }}}} {i}\"}}], reference: \"{{{{ a }}}}\", metrics: [right]}}\n" for i in range(499)
    )
    (folder / "spec.yaml").write_text(
        "version: 1\nname: cached\nallow: [constant]\nmodels:\n  m: {recorded: {jsonl: said.jsonl, columns: {id: id, completion: text}}}\n"
        "datasets:\n  rows: {jsonl: rows.jsonl, id: id}\nmetrics:\n  right: {plugin: truthfulness, config: {match: exact}}\nevaluations:\n" + evaluations
    )
    command = [bench.args.build / "driftgauge", "run", folder / "spec.yaml", "--out", folder / "run", "--store", folder / "store"]
    # A process of its own, whose only child this run is: its peak is that of no other row.
    peak = int(bench.run(sys.executable, "-c", PEAK, *command).splitlines()[-1]) // 1024
    ours, theirs = [], []
    flow = folder / "snakemake"
    flow.mkdir(exist_ok=True)
    (flow / "in").write_text("")
    (flow / "Snakefile").write_text(
        "N = 999\nrule all:\n    input: expand('m{i}', i=range(N))\nrule one:\n    input: 'in'\n    output: 'm{i}'\n    shell: 'touch {output}'\n"
    )
    for i in range(999):
        (flow / f"m{i}").write_text("")
    snakemake = [bench.args.snakemake, "-n", "-q", "--rerun-triggers", "mtime", "-d", flow, "-s", flow / "Snakefile"]
    dvc = folder / "dvc"
    if bench.args.dvc and not dvc.exists():
        dvc.mkdir()
        (dvc / "in").write_text("")
        stages = "".join(f"  m{i}: {{cmd: touch m{i}, deps: [in], outs: [m{i}]}}\n" for i in range(999))
        (dvc / "dvc.yaml").write_text("stages:\n" + stages)
        bench.run(bench.args.dvc, "--cd", dvc, "init", "-q", "--no-scm")
        bench.run(bench.args.dvc, "--cd", dvc, "config", "core.analytics", "false")
        bench.run(bench.args.dvc, "--cd", dvc, "repro", "-q")
    same = []
    # In turns.
    for _ in range(bench.args.rounds):
        if bench.args.snakemake:
            theirs.append(children_seconds(lambda: bench.run(*snakemake))[0])
        if bench.args.dvc:
            same.append(children_seconds(lambda: bench.run(bench.args.dvc, "--cd", dvc, "repro", "-q", "--dry"))[0])
        ours.append(children_seconds(lambda: bench.run(*command))[0])
    mine, other = min(ours), min(theirs, default=None)
    peers = [f"{name}: {min(times):.1f} s" for name, times in [("snakemake -n", theirs), ("dvc repro --dry", same)] if times]
    return [f"cached run of 1,000 nodes, processor seconds (first run: at most {peak} MiB)", ", ".join(peers) or "(neither snakemake nor dvc here)", f"{mine:.1f} s", other and other / mine]


@row("demo")
def demo(bench):
    out, store = bench.scratch / "demo", bench.scratch / "demo-store"
    _, seconds = children_seconds(
        lambda: bench.run(bench.args.build / "driftgauge", "run", ROOT / "specs/demo.yaml", "--out", out, "--store", store)
    )
    return ["the demo, from nothing", "-", f"{seconds:.0f} s", None]


@row("million")
def million(bench):
    folder = bench.scratch / "million"
    folder.mkdir(exist_ok=True)
    out = bench.run(sys.executable, ROOT / "plugins/host/examples/million.py", folder, "--ours", bench.args.build / "examples/million")
    mine = float(re.search(r"driftgauge ([\d.]+) s", out)[1])
    other = float(re.search(r"Python ([\d.]+) s", out)[1])
    plain, interval = (float(x) for x in re.search(r"ratio ([\d.]+) .*?; ([\d.]+) with", out).groups())
    everything, peak, less = re.search(r"return ([\d.]+) s, peak (\d+) MiB, ratio ([\d.]+)", out).groups()
    what = (f"rates by category with paired tests, AUROC and ECE over a million samples ({interval:.1f} times with an interval of the ECE on both sides; "
            f"all numbers of `asr` and `uncertainty` by default: {everything} s, {peak} MiB, {less} times)")
    return [what, f"pandas and numpy: {other:.2f} s", f"{mine:.2f} s", plain]


def processor():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    field = lambda name: (re.search(rf"^{name}\s*:\s*(.*)$", text, re.M) or [None, "?"])[1]
    return f"{field('model name')} (family {field('cpu family')}, model {field('model')}), {os.cpu_count()} cores" if text else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True, help="folder of the built binary, with its examples")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=ROWS, nargs="+")
    parser.add_argument("--models", type=Path, help="where to keep the models between runs")
    parser.add_argument("--real", type=Path, help="a folder of SmolLM2-135M-Instruct")
    parser.add_argument("--snakemake", help="the program snakemake")
    parser.add_argument("--dvc", help="the program dvc")
    parser.add_argument("--write", type=Path, help="the page whose table is written anew")
    args = parser.parse_args()
    args.build = args.build.resolve()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(args, Path(scratch))
        vectors = bench.example("bench_generate", "--vectors")["vectors"]
        said = []

        def say(line):
            print(line, flush=True)
            said.append(line)

        say(f"{time.strftime('%Y-%m-%d')}, {processor()}, vectors {vectors}, load {os.getloadavg()[0]:.1f} at the beginning\n")
        say("| work | peer | driftgauge | ratio |\n|---|---|---|---|")
        for name in args.only or ROWS:
            cells = ROWS[name](bench)
            if cells:
                ratio = f"**{cells[3]:.2f}**" if cells[3] else ""
                say(f"| {cells[0]} | {cells[1]} | {cells[2]} | {ratio} |")
    say(f"\n{time.perf_counter() - began:.0f} s in all, {args.threads} threads, best of {args.rounds} rounds")
    if args.write:
        before, rest = args.write.read_text().split("<!-- measured -->", 1)
        behind = rest.split("<!-- end -->", 1)[1]
        args.write.write_text(f"{before}<!-- measured -->\n" + "\n".join(said) + f"\n<!-- end -->{behind}")


if __name__ == "__main__":
    main()
