"""Loads an adapter that driftgauge trained with peft.PeftModel.from_pretrained and compares logits, in f32 on the CPU:
PEFT's with ours, both with the adapter beside the base's weights and merged into them.

    cargo build -p driftgauge-lm --example export_logits
    python tests/python/check_peft_adapter.py --ours target/debug/examples/export_logits --base MODEL --adapter ADAPTER

Fails when a difference is above the tolerance, or when the adapter changes nothing. Needs torch, transformers and peft.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True, help="the built example export_logits")
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()

    load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    base = load(args.base)
    source = random.Random(0)
    rows = [[source.randrange(base.config.vocab_size) for _ in range(source.randrange(2, 60))] for _ in range(args.rows)]
    with torch.no_grad(), tempfile.TemporaryDirectory() as scratch:
        ids, merged = Path(scratch) / "ids.json", Path(scratch) / "merged"
        ids.write_text(json.dumps(rows))
        run = subprocess.run([args.ours, args.base, args.adapter, merged, ids], capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(run.stderr)
        ours = {name: torch.tensor(logits) for name, logits in json.loads(run.stdout).items()}
        logits = lambda model: torch.stack([model(torch.tensor([row])).logits[0, -1] for row in rows])
        plain = logits(base)
        theirs_merged = logits(load(merged))
        theirs = logits(PeftModel.from_pretrained(base, args.adapter).eval())
    worst = lambda a, b: (a - b).abs().max().item()
    differences = {
        "adapter: ours - PEFT's": worst(ours["adapter"], theirs),
        "merged folder: ours - transformers'": worst(ours["merged"], theirs_merged),
        "merged folder - adapter (ours)": worst(ours["merged"], ours["adapter"]),
    }
    effect = worst(theirs, plain)
    for name, difference in differences.items():
        print(f"{name:<38} {difference:.2e}")
    print(f"{'the adapter changes the logits by':<38} {effect:.2e}")
    if max(differences.values()) > args.tolerance or effect < 10 * args.tolerance:
        sys.exit("FAILED")


if __name__ == "__main__":
    main()
