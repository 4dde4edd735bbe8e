"""Makes the references of adapters: what PEFT and transformers compute with adapters on the golden models, in f32 on the CPU.

    python tests/python/make_adapters.py tests/golden [MODEL ...]

Of the models whose folders `tests/golden/<model>` hold `lora/training.json` (see make_golden.py), whose rows are used again:

* `<model>/adapters/<name>`: a training step by step (`training.json`), from `adapter_init` to `adapter_final`;
* `<model>/loads/<name>`: an adapter folder as PEFT saves it, and in `expected.json` the logits after a probe when PEFT loads it
  on a fresh base, and after `merge_and_unload`;
* `phi3`, `glm4`: models whose layers hold several projections in one weight, with the Llama's tokenizer and rows;
* `peft-modules.json`: which modules PEFT changes under which settings, with rank and alpha.

Needs torch, transformers and peft.
"""

import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from make_golden import train, write_json
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Glm4Config, Glm4ForCausalLM, Phi3Config, Phi3ForCausalLM

STEPS = dict(learning_rate=2e-3, schedule="linear", warmup_steps=2, max_steps=6, per_device_batch_size=2, gradient_accumulation=2,
             weight_decay=0.01, adam_beta1=0.9, adam_beta2=0.999, adam_eps=1e-8, max_grad_norm=1.0)
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TRAININGS = {
    # The rows' lengths learnt too, beside biases.
    ("qwen2", "dora"): dict(r=4, lora_alpha=8, target_modules=SEVEN, use_dora=True),
    ("llama", "patterns"): dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], use_rslora=True,
                                rank_pattern={r"layers\.0\..*q_proj": 2, "down_proj": 6}, alpha_pattern={"v_proj": 4, "layers.1.mlp.down_proj": 12}),
    ("llama", "saved"): dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], modules_to_save=["embed_tokens", "lm_head"]),
    # The output head is the embedding: what is trained moves alone. The short name matches every normalisation.
    ("qwen3", "saved-tied"): dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], modules_to_save=["embed_tokens", "norm"]),
    ("qwen3", "all-of-it"): dict(r=2, lora_alpha=4, target_modules=["k_proj", "up_proj"], use_dora=True, rank_pattern={"up_proj": 4},
                                 modules_to_save=["lm_head", "layers.1.self_attn.o_proj"]),
}

# Models whose layers hold several projections in one weight: random, small, with the tokenizer and the rows of the Llama.
FUSED_SHAPE = dict(vocab_size=357, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                   max_position_embeddings=256, bos_token_id=0, eos_token_id=2, pad_token_id=1, attention_dropout=0.0)
FUSED = {
    "phi3": (Phi3Config, Phi3ForCausalLM, dict(sliding_window=None, original_max_position_embeddings=256)),
    "glm4": (Glm4Config, Glm4ForCausalLM, dict(head_dim=8, attention_bias=True)),
}
TRAININGS |= {
    ("phi3", "fused"): dict(r=4, lora_alpha=8, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"], rank_pattern={"gate_up_proj": 6}),
    ("glm4", "fused-dora"): dict(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj", "gate_up_proj"], use_dora=True),
}

TWO = dict(r=2, lora_alpha=6, target_modules=["q_proj", "up_proj"])
LOADS = {
    ("llama", "gaussian"): dict(TWO, init_lora_weights="gaussian"),
    ("llama", "orthogonal"): dict(TWO, init_lora_weights="orthogonal"),
    ("llama", "eva"): dict(TWO, init_lora_weights="eva", rank_pattern={"layers.0.self_attn.q_proj": 3}),
    ("llama", "rslora"): dict(TWO, use_rslora=True),
    ("llama", "no-start"): dict(TWO, init_lora_weights=False, lora_dropout=0.1),
    ("llama", "regex"): dict(TWO, target_modules=r".*\.layers\.[02]\.(self_attn\.[qv]|mlp\.down)_proj"),
    ("llama", "suffix"): dict(TWO, target_modules=["1.self_attn.q_proj", "model.layers.2.mlp.gate_proj"]),
    ("llama", "excluded"): dict(TWO, exclude_modules=["layers.0.self_attn.q_proj", "2.mlp.up_proj"]),
    ("llama", "layers"): dict(TWO, layers_to_transform=[0, 2], layers_pattern="layers"),
    ("llama", "one-layer"): dict(TWO, layers_to_transform=1),
    ("llama", "fan-in"): dict(TWO, fan_in_fan_out=True),
    ("llama", "dora"): dict(TWO, use_dora=True, use_rslora=True),
    ("llama", "head"): dict(TWO, target_modules=["q_proj", "lm_head"]),
    ("llama", "embedding"): dict(TWO, target_modules=["embed_tokens", "v_proj"]),
    # What PEFT stores of an embedding that has an update: the weight below it too, and not always the base's own.
    ("llama", "embedding-stored"): dict(TWO, target_modules=["embed_tokens", "v_proj"]),
    ("llama", "saved"): dict(TWO, modules_to_save=["lm_head", "norm"]),
    ("qwen2", "dora-bias"): dict(TWO, use_dora=True, target_modules=["k_proj"]),
    ("qwen3", "saved-embedding"): dict(TWO, modules_to_save=["embed_tokens"]),
    ("qwen3", "saved-head"): dict(TWO, modules_to_save=["lm_head"]),
    ("phi3", "all-linear"): dict(TWO, target_modules="all-linear"),
    ("glm4", "half"): dict(TWO, target_modules=["k_proj", "gate_up_proj"], layers_to_transform=[1]),
    # Sharded, 16 bits.
    ("mistral", "bf16"): dict(TWO, use_rslora=True, target_modules=["v_proj"]),
}


def fused(golden: Path, name: str) -> None:
    """A model with fused projections, every weight of it random."""
    config_class, model_class, settings = FUSED[name]
    torch.manual_seed(3)
    model = model_class(config_class(**FUSED_SHAPE, **settings)).float()
    with torch.no_grad():
        for key, p in model.named_parameters():
            spread = 0.1 if p.dim() == 1 else 0.5 if "embed" in key else p.shape[-1] ** -0.5
            p.copy_(spread * torch.randn(p.shape) + (1 if "norm" in key else 0))
    folder = golden / name
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(golden / "llama" / file, folder / file)


def rows_of(golden: Path, model_name: str, file: str) -> dict:
    """What was made for the model, or for the one whose rows it shares."""
    return json.loads((golden / ("llama" if model_name in FUSED else model_name) / file).read_text())


def config(settings: dict, base: str) -> LoraConfig:
    return LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path=base, **settings)


def sorted_config(path: Path) -> None:
    """Sets are written in an order that changes from run to run."""
    content = json.loads(path.read_text())
    for key in ("target_modules", "exclude_modules"):
        if isinstance(content.get(key), list):
            content[key].sort()
    content["base_model_name_or_path"] = None
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def randomise(model, spread: float) -> None:
    """Factors, lengths and whole modules that do something."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.requires_grad:
                continue
            noise = torch.randn(p.shape, generator=generator)
            if "lora_" in name and "magnitude" not in name:
                p.copy_(spread * noise)
            else:
                p.mul_(1 + 0.2 * noise)


def base_model(folder: Path):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def last_logits(model, ids: list[int]) -> list[float]:
    model.eval()
    with torch.no_grad():
        return [round(x, 6) for x in model(input_ids=torch.tensor([ids])).logits[0, -1].tolist()]


def greedy(model, prompt: list[int], eos: int) -> dict:
    """Six tokens, each the likeliest, with their ln p."""
    ids, logprobs = list(prompt), []
    model.eval()
    while len(logprobs) < 6 and (not logprobs or ids[-1] != eos):
        with torch.no_grad():
            lp = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, -1].double(), -1)
        ids.append(int(lp.argmax()))
        logprobs.append(round(lp.max().item(), 6))
    return {"prompt": prompt, "new": ids[len(prompt):], "lp": logprobs}


def training(golden: Path, name: str, model_name: str, settings: dict) -> None:
    folder = golden / model_name / "adapters" / name
    folder.mkdir(parents=True, exist_ok=True)
    reference = rows_of(golden, model_name, "lora/training.json")
    rows = reference["examples"][: STEPS["max_steps"] * 4]
    model = get_peft_model(base_model(golden / model_name), config(settings, None))
    randomise(model, 0.05)

    def state() -> dict:
        return {k: v.detach().clone().contiguous() for k, v in get_peft_model_state_dict(model, save_embedding_layers=False).items()}

    save_file(state(), folder / "adapter_init.safetensors", metadata={"format": "pt"})
    with tempfile.TemporaryDirectory() as place:
        model.peft_config["default"].save_pretrained(place)
        shutil.copy(Path(place) / "adapter_config.json", folder / "adapter_config.json")
    sorted_config(folder / "adapter_config.json")
    log = train(model, rows, STEPS)
    save_file(state(), folder / "adapter_final.safetensors", metadata={"format": "pt"})
    probe = rows[0]["input_ids"]
    write_json(folder / "training.json", {
        "hyperparameters": {**STEPS, "method": "lora"}, "examples": rows, "log": log, "probe_input_ids": probe,
        "probe_last_logits": last_logits(model, probe), "merged_last_logits": last_logits(model.merge_and_unload(), probe),
    }, None)


def load(golden: Path, name: str, model_name: str, settings: dict) -> None:
    folder = golden / model_name / "loads" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plain = {k: v for k, v in settings.items() if k != "init_lora_weights"}
    model = get_peft_model(base_model(golden / model_name), config(plain, None))
    randomise(model, 0.1)
    model.peft_config["default"].init_lora_weights = settings.get("init_lora_weights", True)
    if stored := name.endswith("-stored"):
        with torch.no_grad():
            model.get_input_embeddings().base_layer.weight.mul_(1.05)
    model.save_pretrained(folder, save_embedding_layers="auto" if stored else False)
    (folder / "README.md").unlink(missing_ok=True)
    sorted_config(folder / "adapter_config.json")
    probe = rows_of(golden, model_name, "lora/training.json")["probe_input_ids"]
    loaded = PeftModel.from_pretrained(base_model(golden / model_name), folder)
    beside = last_logits(loaded, probe)
    plain_logits = last_logits(base_model(golden / model_name), probe)
    # PEFT merges in place, also into a tied weight that it left alone before.
    first = rows_of(golden, model_name, "greedy.json")["samples"][0]
    answer = {"messages": first["messages"], **greedy(loaded, first["prompt_token_ids"], loaded.config.eos_token_id)}
    untied = PeftModel.from_pretrained(base_model(golden / model_name), folder)
    write_json(folder / "expected.json", {
        "probe_input_ids": probe, "base": plain_logits, "loaded": beside, "merged": last_logits(untied.merge_and_unload(), probe),
        "greedy": answer,
    }, None)


def modules() -> list[dict]:
    names = [f"model.layers.{i}.{m}" for i in (0, 1, 11) for m in
             ("self_attn.q_proj", "self_attn.v_proj", "self_attn.xq_proj", "mlp.up_proj", "mlp.experts.3.up_proj")] + ["lm_head", "model.embed_tokens"]
    base = dict(r=4, lora_alpha=8)
    cases = [
        dict(target_modules=["q_proj", "mlp.up_proj"]),
        dict(target_modules=["proj"]),
        dict(target_modules=["model.layers.1.self_attn.q_proj", "v_proj"], layers_to_transform=[0]),
        dict(target_modules=r".*\.(0|11)\.self_attn\.[qv]_proj"),
        dict(target_modules=r"layers\.0.*"),
        dict(target_modules=["q_proj", "up_proj"], exclude_modules=["0.self_attn.q_proj", "up_proj"]),
        dict(target_modules=["q_proj", "up_proj"], exclude_modules=r".*experts.*"),
        dict(target_modules=["up_proj"], layers_to_transform=[1, 3]),
        dict(target_modules=["up_proj"], layers_to_transform=[3], layers_pattern="experts"),
        dict(target_modules=["up_proj"], layers_to_transform=11, layers_pattern=["blocks", "layers"]),
        dict(target_modules=["q_proj", "v_proj", "lm_head"], modules_to_save=["lm_head", "1.self_attn"]),
        dict(target_modules=["q_proj", "v_proj"], rank_pattern={"q_proj": 2, "layers.0.self_attn.q_proj": 16}, alpha_pattern={"^model.layers.1.*": 3}),
        dict(target_modules=["q_proj", "v_proj"], rank_pattern={"layers.0.self_attn.q_proj": 16, "q_proj": 2, "proj": 5}, use_rslora=True),
        dict(target_modules=["q_proj", "up_proj"], rank_pattern={r"model\.layers\.1?1\..*": 7}, alpha_pattern={"mlp.*": 1.5}),
    ]
    out = []
    for case in cases:
        settings = LoraConfig(task_type="CAUSAL_LM", **base, **case)
        found = {}
        for name in names:
            hit = check_target_module_exists(settings, name)
            if hit and type(hit).__name__ != "_ExcludedModule":
                rank = settings.rank_pattern.get(get_pattern_key(settings.rank_pattern.keys(), name), settings.r)
                alpha = settings.alpha_pattern.get(get_pattern_key(settings.alpha_pattern.keys(), name), settings.lora_alpha)
                found[name] = [rank, alpha / (rank**0.5 if settings.use_rslora else rank)]
        content = {"peft_type": "LORA", **base, **copy.deepcopy(case)}
        out.append({"config": content, "changed": found})
    return [{"names": names}, *out]


def main() -> None:
    golden, only = Path(sys.argv[1]), sys.argv[2:]
    write_json(golden / "peft-modules.json", modules(), None)
    for model in FUSED:
        if not only or model in only:
            fused(golden, model)
    for (model, name), settings in TRAININGS.items():
        if not only or model in only:
            training(golden, name, model, settings)
    for (model, name), settings in LOADS.items():
        if not only or model in only:
            load(golden, name, model, settings)


if __name__ == "__main__":
    main()
