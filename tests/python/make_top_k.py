"""Makes `top_k.json` beside each golden reference: ln p of the likeliest tokens at every position of the model's own greedy
completions, and the entropies over k of them, as torch and transformers compute them in f32.

    python tests/python/make_top_k.py tests/golden [NAME ...]

By k, the means over the positions of a completion, in nats: `entropy` = -sum p ln p over the k likeliest tokens, `renormalised`
after dividing their p by its sum, `lower` with all other tokens as one, `upper` with the rest of p spread evenly over them.
Needs torch and transformers.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

KS = (1, 5, 20)


def summary(log_p: torch.Tensor, k: int) -> dict[str, float]:
    """Of the sorted ln p of every position, over the whole vocabulary."""
    p = log_p[:, :k].exp()
    entropy = -(p * log_p[:, :k]).sum(-1)
    shares = p / p.sum(-1, keepdim=True)
    rest = log_p[:, k:].exp().sum(-1)
    others = log_p.shape[1] - k
    return {
        "entropy": entropy.mean().item(),
        "renormalised": -(shares * shares.log()).sum(-1).mean().item(),
        "lower": (entropy - torch.special.xlogy(rest, rest)).mean().item(),
        "upper": (entropy - torch.special.xlogy(rest, rest / others)).mean().item(),
    }


def main() -> None:
    root = Path(sys.argv[1])
    names = sys.argv[2:] or sorted(p.parent.name for p in root.glob("*/greedy.json"))
    torch.set_num_threads(1)
    for name in names:
        folder = root / name
        golden = json.loads((folder / "greedy.json").read_text())
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        samples = []
        for sample in golden["samples"]:
            prompt, answer = sample["prompt_token_ids"], sample["completion_token_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            log_p = torch.log_softmax(logits.double(), -1).sort(-1, descending=True).values
            samples.append(
                {
                    "top_logprobs": [round(l, 6) for row in log_p[:, : max(KS)].tolist() for l in row],
                    "k": {str(k): summary(log_p, k) for k in KS},
                }
            )
        document = {"vocabulary": log_p.shape[1], "width": max(KS), "samples": samples}
        (folder / "top_k.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
