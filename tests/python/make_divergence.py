"""Makes `divergence.json` beside each golden reference: how far the model with the trained adapter of `lora/` is from the model
itself, on the model's own greedy completions, as torch, transformers and PEFT compute it in f32.

    python tests/python/make_divergence.py tests/golden [NAME ...]

KL(model || tuned) per position in nats over the whole vocabulary, whether both find the same token the most likely, and the
tuned model's greedy completion. Needs torch, transformers and peft.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def adapter(folder: Path, place: str) -> str:
    """The adapter under the names that PEFT expects."""
    for source, name in (("adapter_config.json", "adapter_config.json"), ("adapter_final.safetensors", "adapter_model.safetensors")):
        (Path(place) / name).write_bytes((folder / "lora" / source).read_bytes())
    return place


def log_p(model, prompt: list[int], answer: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.double(), -1)


def greedy(model, prompt: list[int], ends: set[int], limit: int) -> list[int]:
    answer: list[int] = []
    while len(answer) < limit and not (answer and answer[-1] in ends):
        with torch.no_grad():
            answer.append(int(model(torch.tensor([prompt + answer])).logits[0, -1].argmax()))
    return answer


def ends_of(folder: Path) -> set[int]:
    ends: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        value = json.loads(path.read_text()).get("eos_token_id") if path.exists() else None
        ends |= set(value if isinstance(value, list) else [] if value is None else [value])
    return ends


def main() -> None:
    root = Path(sys.argv[1])
    names = sys.argv[2:] or sorted(p.parent.name for p in root.glob("*/greedy.json"))
    torch.set_num_threads(1)
    for name in names:
        folder = root / name
        golden = json.loads((folder / "greedy.json").read_text())
        load = lambda: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        model = load()
        samples = []
        with tempfile.TemporaryDirectory() as place:
            tuned = PeftModel.from_pretrained(load(), adapter(folder, place)).merge_and_unload().eval()
        # A merged folder keeps the type that its base is stored in.
        stored = getattr(torch, json.loads((folder / "config.json").read_text())["torch_dtype"])
        with torch.no_grad():
            for p in tuned.parameters():
                p.copy_(p.to(stored).float())
        for sample in golden["samples"]:
            prompt, answer = sample["prompt_token_ids"], sample["completion_token_ids"]
            p, q = log_p(model, prompt, answer), log_p(tuned, prompt, answer)
            samples.append({
                "kl": (p.exp() * (p - q)).sum(-1).tolist(),
                "top1_agree": (p.argmax(-1) == q.argmax(-1)).int().tolist(),
                "tuned_completion_token_ids": greedy(tuned, prompt, ends_of(folder), golden["max_new_tokens"]),
            })
        (folder / "divergence.json").write_text(json.dumps({"samples": samples}, indent=1) + "\n")
        print(name, [round(sum(s["kl"]) / len(s["kl"]), 4) for s in samples])


if __name__ == "__main__":
    main()
