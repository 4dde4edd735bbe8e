"""The PyTorch side of the training benchmark: transformers + PEFT on the CPU, in a process of its own.

Called by bench_training.py; prints one JSON object: seconds of every measured step and the process's peak memory.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--rows", required=True, help="JSON list of lists of token ids")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rank", type=int, required=True, help="0 trains every weight")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    model.config.use_cache = False
    if args.rank > 0:
        from peft import LoraConfig, get_peft_model

        modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        config = LoraConfig(r=args.rank, lora_alpha=args.rank, lora_dropout=0.0, target_modules=modules, task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    # Fused, as transformers' trainer has it: the fastest of torch's.
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)
    rows = torch.tensor(json.loads(Path(args.rows).read_text()))

    seconds, losses = [], []
    for step, ids in enumerate(rows.split(args.batch)):
        start = time.perf_counter()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step >= args.warmup:
            seconds.append(time.perf_counter() - start)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mib": peak_kib / 1024, "losses": losses, "trainable": sum(p.numel() for p in parameters)}))


if __name__ == "__main__":
    main()
