"""The transformers side of generation, scoring and divergence (f32, CPU), in a process of its own; called by bench_all.py.

Prints one JSON object: seconds with loading, without the imports of Python, and how much was done.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def texts_of(tokenizer, row):
    """Tokens of a prompt with each of its choices, and where each begins."""
    prompt = tokenizer(row["prompt"], add_special_tokens=False).input_ids
    for choice in row["choices"]:
        yield tokenizer(row["prompt"] + choice, add_special_tokens=False).input_ids, len(prompt)


def padded(texts):
    longest = max(len(ids) for ids, _ in texts)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in texts])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in texts])
    return ids, mask


def generate(model, tokenizer, rows, args):
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokens = 0
    for start in range(0, len(rows), args.batch):
        prompts = [row["text"] for row in rows[start : start + args.batch]]
        encoded = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(
            input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, max_new_tokens=args.tokens,
            min_new_tokens=args.tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id,
        )
        tokens += out[:, encoded.input_ids.shape[1] :].numel()
    return tokens, 0.0


def choices(model, tokenizer, rows, args):
    texts = [text for row in rows for text in texts_of(tokenizer, row)]
    total = 0.0
    for start in range(0, len(texts), args.batch):
        some = texts[start : start + args.batch]
        ids, mask = padded(some)
        ln_p = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits[:, :-1], dim=-1)
        ln_p = ln_p.gather(-1, ids[:, 1:, None])[..., 0]
        for row, (ids, begin) in zip(ln_p, some):
            total += row[begin - 1 : len(ids) - 1].double().sum().item()
    return len(texts), total


def divergences(model, reference, tokenizer, rows, args):
    texts = [next(texts_of(tokenizer, row)) for row in rows]
    total = 0.0
    for start in range(0, len(texts), args.batch):
        some = texts[start : start + args.batch]
        ids, mask = padded(some)
        p, q = (torch.log_softmax(m(input_ids=ids, attention_mask=mask).logits, dim=-1) for m in (reference, model))
        kl = (p.exp() * (p - q)).sum(-1)
        for row, (ids, begin) in zip(kl, some):
            total += row[begin - 1 : len(ids) - 1].double().sum().item()
    return len(texts), total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["generate", "choices", "kl"])
    parser.add_argument("rows", type=Path)
    parser.add_argument("model")
    parser.add_argument("--reference")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = [json.loads(line) for line in args.rows.read_text().splitlines()]
    start = time.perf_counter()
    load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model, tokenizer = load(args.model), AutoTokenizer.from_pretrained(args.model)
    reference = load(args.reference) if args.reference else None
    loaded = time.perf_counter() - start
    with torch.inference_mode():
        done, total = {
            "generate": lambda: generate(model, tokenizer, rows, args),
            "choices": lambda: choices(model, tokenizer, rows, args),
            "kl": lambda: divergences(model, reference, tokenizer, rows, args),
        }[args.what]()
    seconds = time.perf_counter() - start
    print(json.dumps({"loading_seconds": loaded, "seconds": seconds - loaded, "done": done, "sum": total, "with_loading": done / seconds}))


if __name__ == "__main__":
    main()
