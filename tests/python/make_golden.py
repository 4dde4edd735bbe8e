"""Makes the golden references in tests/golden that driftgauge is compared with: tiny seeded models, and what torch,
transformers and PEFT compute with them in f32 on the CPU.

    python tests/python/make_golden.py tests/golden [NAME ...]

For every name of VARIANTS a folder: the model, `greedy.json` (greedy completions with their statistics),
`multiple_choice.json` (log-likelihoods), `lora/` (a LoRA training, step by step, from `adapter_init` to `adapter_final`) and
`full/` (a training of every weight). Needs torch, transformers and peft.
"""

import json
import math
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

NEW_TOKENS = 24
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORDS = "the a king queen river city island ocean mountain year country name capital wrote painted founded".split()
JOINTS = "of in and is was".split()
ASKS = "what who which where".split()
SHAPE = dict(hidden_size=64, intermediate_size=144, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, rms_norm_eps=1e-5, attention_dropout=0.0)

LLAMA_TURNS = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
# A system turn is put before the first user turn, as Mistral's templates do.
MISTRAL_TURNS = (
    "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{% set ns.system = message['content'] + '\n\n' %}"
    "{% elif message['role'] == 'user' %}[INST] {{ ns.system + message['content'] }}[/INST]{% set ns.system = '' %}"
    "{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
CHATML_TURNS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass
class Variant:
    """A model and two trainings of it."""

    model: type
    config: type
    extra: dict
    special: list  # special tokens in the order of their ids
    bos: str | None
    eos: str
    pad: str
    turns: str
    template_file: bool = False  # the template in a file of its own
    shards: int = 1
    dtype: torch.dtype = torch.float32  # of the stored weights; everything is computed in f32
    generation: dict | None = None
    lora: dict = field(default_factory=dict)
    random_b: bool = False  # an adapter that already does something


LLAMA_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
VARIANTS = {
    # Heads wider than hidden / heads, bf16 weights in two files, a subset of the modules with rslora.
    "mistral": Variant(
        MistralForCausalLM, MistralConfig, dict(head_dim=24, sliding_window=None, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
        ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], "<s>", "</s>", "<unk>", MISTRAL_TURNS,
        template_file=True, shards=2, dtype=torch.bfloat16,
        lora=dict(targets=["q_proj", "v_proj", "o_proj", "down_proj"], use_rslora=True, schedule="cosine", weight_decay=0.1),
    ),
    # Normalised queries and keys, tied head, several end tokens, configuration as transformers 5 writes it.
    "qwen3": Variant(
        Qwen3ForCausalLM, Qwen3Config, dict(head_dim=32, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, "<|im_end|>", "<|endoftext|>", CHATML_TURNS,
        generation=dict(bos_token_id=0, pad_token_id=0, eos_token_id=[2, 0]), lora=dict(alpha=16), random_b=True,
    ),
    # Llama 3's scaled frequencies (short enough to matter here), tied head, f16 weights in three files, `rope_theta` on top.
    "llama3-rope": Variant(
        LlamaForCausalLM, LlamaConfig,
        dict(tie_word_embeddings=True, rope_parameters={"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                                                        "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
        LLAMA_SPECIAL, "<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>", LLAMA_TURNS, shards=3, dtype=torch.float16,
        lora=dict(schedule="constant", warmup_steps=0, per_device_batch_size=4, gradient_accumulation=1, max_grad_norm=0.5),
    ),
}


def sentence(source: random.Random, words: int) -> str:
    return " ".join(source.choice(JOINTS if i % 3 == 2 else WORDS) for i in range(words))


def conversation(source: random.Random) -> list[dict]:
    ask = f"{source.choice(ASKS)} {sentence(source, source.randrange(2, 7))}?"
    return [{"role": "user", "content": ask}, {"role": "assistant", "content": sentence(source, source.randrange(2, 6)) + "."}]


class Chat:
    """Tokenizer and template of a variant."""

    def __init__(self, variant: Variant):
        source = random.Random(11)
        self.variant = variant
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=256 + len(variant.special) + 96, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=[AddedToken(token, special=True, normalized=False) for token in variant.special],
        )
        self.tokenizer.train_from_iterator([m["content"] for _ in range(400) for m in conversation(source)], trainer)
        self.eos = self.tokenizer.token_to_id(variant.eos)

    def render(self, messages: list[dict], prompt: bool) -> str:
        import jinja2

        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(self.variant.turns)
        return template.render(messages=messages, add_generation_prompt=prompt, bos_token=self.variant.bos, eos_token=self.variant.eos)

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def row(self, messages: list[dict]) -> dict:
        """A training row: everything up to the end token, and where the answer begins."""
        ids = self.ids(self.render(messages, False))
        ids = ids[: len(ids) - ids[::-1].index(self.eos)]
        return {"messages": messages, "input_ids": ids, "first_label": len(self.ids(self.render(messages[:-1], True)))}


def batch(rows: list[dict]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, attention mask and labels, padded on the right."""
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        n, first = len(row["input_ids"]), row["first_label"]
        ids[i, :n] = torch.tensor(row["input_ids"])
        mask[i, :n] = 1
        labels[i, first:n] = ids[i, first:n]
    return ids, mask, labels


def summed_loss(model, rows: list[dict]) -> torch.Tensor:
    ids, mask, labels = batch(rows)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum")


def factor(schedule: str, step: int, warmup: int, total: int) -> float:
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return {"linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress)), "constant": 1.0}[schedule]


def train(model, rows: list[dict], h: dict) -> list[dict]:
    """Plain steps: loss over the supervised tokens of the whole step, clipping, AdamW."""
    model.train()
    # Whole modules of an adapter are called as in the base: the trainer of transformers decays no normalisation either.
    named = [(n.replace(".modules_to_save.default", ""), p) for n, p in model.named_parameters() if p.requires_grad]
    plain = [p for n, p in named if n.endswith("norm.weight") or n.endswith("bias")]
    decayed = [p for n, p in named if not (n.endswith("norm.weight") or n.endswith("bias"))]
    groups = [{"params": decayed, "weight_decay": h["weight_decay"]}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=h["learning_rate"], eps=h["adam_eps"])
    size, log = h["per_device_batch_size"], []
    per_step = size * h["gradient_accumulation"]
    for step in range(h["max_steps"]):
        chunk = rows[step * per_step : (step + 1) * per_step]
        targets = sum(len(row["input_ids"]) - row["first_label"] for row in chunk)
        lr = h["learning_rate"] * factor(h["schedule"], step, h["warmup_steps"], h["max_steps"])
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = 0.0
        for start in range(0, per_step, size):
            part = summed_loss(model, chunk[start : start + size]) / targets
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], h["max_grad_norm"])
        optimizer.step()
        optimizer.zero_grad()
        log.append({"step": step, "lr": lr, "loss": loss, "grad_norm": norm.item(), "target_tokens": targets})
    model.eval()
    return log


def new_model(variant: Variant, chat: Chat):
    """Random weights, taught a little, so that its choices are clear; rounded to the type they are stored in."""
    torch.manual_seed(1)
    ids = dict(bos_token_id=chat.tokenizer.token_to_id(variant.bos) if variant.bos else None, eos_token_id=chat.eos,
               pad_token_id=chat.tokenizer.token_to_id(variant.pad))
    config = variant.config(**{**SHAPE, **variant.extra, **ids, "vocab_size": chat.tokenizer.get_vocab_size(), "attn_implementation": "eager"})
    model = variant.model(config)
    with torch.no_grad():
        # Wider than usual: every weight matters, also those of the normalisations.
        for name, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if name.endswith("norm.weight") else 0.08 * torch.randn_like(p))
    source = random.Random(5)
    rows = [chat.row(conversation(source)) for _ in range(64)]
    lesson = dict(method="full", learning_rate=3e-3, schedule="linear", warmup_steps=5, max_steps=150, per_device_batch_size=8,
                  gradient_accumulation=1, weight_decay=0.0, adam_eps=1e-8, max_grad_norm=1.0)
    train(model, [row for i in range(150) for row in rows[8 * (i % 8) : 8 * (i % 8) + 8]], lesson)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(variant.dtype).float())
    return model


def write_json(path: Path, value, indent=1) -> None:
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def save_model(folder: Path, variant: Variant, chat: Chat, model) -> None:
    tensors = {n: p.detach().to(variant.dtype).contiguous() for n, p in model.named_parameters()}
    if variant.shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        names, index = sorted(tensors), {}
        for shard in range(variant.shards):
            part = {n: tensors[n] for n in names[shard :: variant.shards]}
            file = f"model-{shard + 1:05}-of-{variant.shards:05}.safetensors"
            save_file(part, folder / file, metadata={"format": "pt"})
            index.update({n: file for n in part})
        size = sum(t.numel() * t.element_size() for t in tensors.values())
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": index})
    config = json.loads(model.config.to_json_string(use_diff=False))
    kept = ["architectures", "model_type", "vocab_size", "head_dim", "hidden_act", "tie_word_embeddings", "attention_bias", "mlp_bias",
            "bos_token_id", "eos_token_id", "pad_token_id", "sliding_window", "use_sliding_window", "rope_parameters", *SHAPE]
    config = {k: config[k] for k in sorted(kept) if k in config}
    config["architectures"] = [variant.model.__name__]
    config["torch_dtype"] = str(variant.dtype).removeprefix("torch.")
    if variant.config is LlamaConfig:  # as transformers 4 wrote it
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope
    write_json(folder / "config.json", config)
    chat.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {"bos_token": variant.bos, "eos_token": variant.eos, "pad_token": variant.pad, "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": SHAPE["max_position_embeddings"]}
    if variant.template_file:
        (folder / "chat_template.jinja").write_text(variant.turns)
    else:
        settings["chat_template"] = variant.turns
    write_json(folder / "tokenizer_config.json", settings)
    if variant.generation:
        write_json(folder / "generation_config.json", variant.generation)


def greedy(model, chat: Chat) -> dict:
    system = {"role": "system", "content": "You are terse."}
    asks = ["what is the capital of the island?", "who wrote the river?", "name a king", "which ocean was founded in the year?",
            "Zürich — ☃ 42?", "a"]
    samples = []
    for number, ask in enumerate(asks):
        messages = ([system] if number in (1, 4) else []) + [{"role": "user", "content": ask}]
        rendered = chat.render(messages, True)
        ids = prompt = chat.ids(rendered)
        out = {"token_logprob": [], "top10_entropy": [], "full_entropy": []}
        margin, stopped, completion = math.inf, "length", []
        while len(completion) < NEW_TOKENS and stopped == "length":
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1]
            best, second = logits.topk(2).values.tolist()
            margin = min(margin, best - second)
            lp = torch.log_softmax(logits.double(), -1)
            token = int(logits.argmax())
            terms = (-lp.exp() * lp)[lp.argsort(descending=True)]
            out["token_logprob"].append(lp[token].item())
            out["top10_entropy"].append(terms[:10].sum().item())
            out["full_entropy"].append(terms.sum().item())
            completion.append(token)
            ids = ids + [token]
            stopped = "eos" if token == chat.eos else "length"
        text = chat.tokenizer.decode(completion[:-1] if stopped == "eos" else completion, skip_special_tokens=True)
        samples.append({"messages": messages, "rendered": rendered, "prompt_token_ids": prompt, "completion_token_ids": completion,
                        "completion": text, "stopped": stopped, **out, "min_margin": margin})
    units = ("natural log; entropies in nats; top10_entropy = -sum over the 10 most likely tokens of p*ln p, not renormalised; "
             "full_entropy over the whole vocabulary; the end-of-turn token, when produced, is the last entry")
    return {"units": units, "max_new_tokens": NEW_TOKENS, "samples": samples}


def multiple_choice(model, chat: Chat) -> dict:
    asks = {"what is the capital of the island?": ["the king", "a river in the city", "ocean"],
            "who painted the mountain?": ["the queen", "a country", "which name was founded in the ocean"]}
    items = []
    for ask, answers in asks.items():
        prompt = f"Q: {ask}\nA:"
        before, choices = chat.ids(prompt), []
        for answer in answers:
            ids = chat.ids(" " + answer)
            with torch.no_grad():
                lp = torch.log_softmax(model(torch.tensor([before + ids])).logits[0].double(), -1)
            total = sum(lp[len(before) - 1 + i, token].item() for i, token in enumerate(ids))
            choices.append({"choice": answer, "token_ids": ids, "loglikelihood": total})
        items.append({"prompt": prompt, "prompt_token_ids": before, "choices": choices})
    note = "no BOS token is added; loglikelihood is the sum of natural-log probabilities of the continuation tokens"
    return {"note": note, "items": items}


def training_reference(model, chat: Chat, h: dict) -> dict:
    source = random.Random(23)
    rows = [chat.row(conversation(source)) for _ in range(h["max_steps"] * h["per_device_batch_size"] * h["gradient_accumulation"])]
    log = train(model, rows, h)
    probe = rows[0]["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([probe])).logits[0, -1]
    return {"hyperparameters": h, "examples": rows, "log": log, "probe_input_ids": probe, "probe_last_logits": [round(x, 6) for x in logits.tolist()]}


def trainings(folder: Path, variant: Variant, chat: Chat, model) -> None:
    common = dict(learning_rate=2e-3, schedule="linear", warmup_steps=3, max_steps=12, per_device_batch_size=2, gradient_accumulation=2,
                  weight_decay=0.01, adam_beta1=0.9, adam_beta2=0.999, adam_eps=1e-8, max_grad_norm=1.0,
                  loss="mean over the assistant tokens of the whole accumulated batch")
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}

    full = folder / "full"
    full.mkdir(exist_ok=True)
    write_json(full / "training.json", training_reference(model, chat, {**common, "method": "full", "learning_rate": 5e-4, "max_steps": 8}), None)
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_(weights[n])

    lora = folder / "lora"
    lora.mkdir(exist_ok=True)
    h = {**common, "method": "lora", "rank": 4, "alpha": 8, "dropout": 0.0, "use_rslora": False, "targets": SEVEN, **variant.lora}
    torch.manual_seed(2)
    config = LoraConfig(r=h["rank"], lora_alpha=h["alpha"], lora_dropout=0.0, target_modules=h["targets"], use_rslora=h["use_rslora"],
                        bias="none", task_type="CAUSAL_LM")
    tuned = get_peft_model(model, config)
    if variant.random_b:
        with torch.no_grad():
            for n, p in tuned.named_parameters():
                if "lora_B" in n:
                    p.copy_(0.02 * torch.randn_like(p))
    state = lambda: {n: t.detach().clone().contiguous() for n, t in get_peft_model_state_dict(tuned).items()}
    save_file(state(), lora / "adapter_init.safetensors", metadata={"format": "pt"})
    write_json(lora / "training.json", training_reference(tuned, chat, h), None)
    save_file(state(), lora / "adapter_final.safetensors", metadata={"format": "pt"})
    write_json(lora / "adapter_config.json", {
        "base_model_name_or_path": "..", "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": h["rank"], "lora_alpha": h["alpha"],
        "lora_dropout": 0.0, "bias": "none", "target_modules": h["targets"], "inference_mode": True, "fan_in_fan_out": False,
        "use_rslora": h["use_rslora"]})


def main() -> None:
    root, names = Path(sys.argv[1]), sys.argv[2:] or list(VARIANTS)
    torch.set_num_threads(1)  # the same sums in the same order
    for name in names:
        variant = VARIANTS[name]
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        chat = Chat(variant)
        model = new_model(variant, chat)
        save_model(folder, variant, chat, model)
        told = greedy(model, chat)
        write_json(folder / "greedy.json", told)
        write_json(folder / "multiple_choice.json", multiple_choice(model, chat))
        trainings(folder, variant, chat, model)
        for s in told["samples"]:
            print(name, repr(s["completion"]), s["stopped"], f"margin {s['min_margin']:.3f}")


if __name__ == "__main__":
    main()
