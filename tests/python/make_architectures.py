"""Makes tests/golden/architectures/*.json: what transformers computes with one tiny model of every architecture and of every
way of a configuration that changes the arithmetic.

    python tests/python/make_architectures.py tests/golden/architectures [NAME ...]     # transformers 5
    python tests/python/make_architectures.py --configs tests/golden/architectures      # transformers 4, afterwards

No weights are kept: they are a function of their names and places (`weight`), which the tests compute again. Each file holds the
`config.json` as transformers 5 writes it, and as transformers 4 does where it can (`config_4`); names and shapes of the stored
tensors; and for sequences of tokens the ln p of each next token, the last position's logits, a greedy answer with its ln p, and, of
the first sequence, the mean loss with the norm of its gradient for each tensor. f32 on the CPU, eager attention.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import load_file, save_file

VOCAB, NEW = 264, 8
SHAPE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=128, bos_token_id=0, eos_token_id=1, pad_token_id=2, attention_dropout=0.0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
LONG = dict(rope_type="longrope", short_factor=[1.0, 1.1, 1.25, 1.5], long_factor=[1.0, 1.5, 2.5, 4.0])
MOE = dict(moe_intermediate_size=16)
MLA = dict(q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8, num_key_value_heads=4)


def rope(theta=1e4, **scaling):
    return dict(rope_parameters={"rope_type": "default", "rope_theta": theta, **scaling})


# name: (class, settings). The first part of the name is the family.
VARIANTS = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", dict(tie_word_embeddings=True, head_dim=16)),
    "llama-biases": ("Llama", dict(attention_bias=True, mlp_bias=True)),
    "llama-linear": ("Llama", rope(rope_type="linear", factor=4.0)),
    "llama-dynamic": ("Llama", rope(rope_type="dynamic", factor=2.0) | dict(max_position_embeddings=32)),
    "llama-yarn": ("Llama", rope(**YARN, beta_fast=16.0, beta_slow=2.0)),
    "llama-yarn-attention": ("Llama", rope(**YARN, attention_factor=1.3)),
    "llama-yarn-mscale": ("Llama", rope(**YARN, mscale=0.8, mscale_all_dim=0.5, truncate=False)),
    "llama-llama3": ("Llama", rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "mistral": ("Mistral", dict(sliding_window=None, head_dim=16)),
    "mistral-window": ("Mistral", dict(sliding_window=12)),
    "mistral-yarn": ("Mistral", dict(sliding_window=None) | rope(**YARN)),
    "mixtral": ("Mixtral", dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
    "mixtral-window": ("Mixtral", dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=12)),
    "qwen2": ("Qwen2", {}),
    "qwen2-yarn": ("Qwen2", rope(**YARN)),
    "qwen2-window": ("Qwen2", dict(use_sliding_window=True, sliding_window=12, max_window_layers=1)),
    "qwen3": ("Qwen3", dict(head_dim=16)),
    "qwen3-biases": ("Qwen3", dict(head_dim=16, attention_bias=True)),
    "qwen3-yarn": ("Qwen3", dict(head_dim=16) | rope(1e6, **YARN)),
    "qwen3-window": ("Qwen3", dict(head_dim=16, use_sliding_window=True, sliding_window=12, max_window_layers=1)),
    "qwen3moe": ("Qwen3Moe", MOE | dict(head_dim=16, num_experts=4, num_experts_per_tok=2, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[1])),
    "qwen3moe-unnormalised": ("Qwen3Moe", MOE | dict(head_dim=16, num_experts=4, num_experts_per_tok=2, norm_topk_prob=False, decoder_sparse_step=2)),
    "gemma": ("Gemma", dict(head_dim=16)),
    "gemma2": ("Gemma2", dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=128)),
    "gemma2-window": ("Gemma2", dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=12, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)),
    "gemma3": ("Gemma3", dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=12, layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "gemma3-linear": ("Gemma3", dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=12, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                     rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                                                      "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})),
    "phi3": ("Phi3", dict(sliding_window=None, original_max_position_embeddings=128)),
    "phi3-window": ("Phi3", dict(sliding_window=12, original_max_position_embeddings=128)),
    "phi3-longrope": ("Phi3", dict(sliding_window=None, original_max_position_embeddings=32) | rope(**LONG)),
    "phi3-partial": ("Phi3", dict(head_dim=8, sliding_window=None, original_max_position_embeddings=128) | rope(partial_rotary_factor=0.5)),
    "smollm3": ("SmolLM3", dict(num_hidden_layers=4, no_rope_layer_interval=2)),
    "smollm3-untied": ("SmolLM3", dict(no_rope_layers=[0, 1, 1], tie_word_embeddings=False, attention_bias=True, mlp_bias=True)),
    "glm": ("Glm", dict(head_dim=16)),
    "glm4": ("Glm4", dict(head_dim=16, attention_bias=True)),
    "glm4-whole": ("Glm4", dict(head_dim=16) | rope(partial_rotary_factor=1.0)),
    "phi": ("Phi", dict(num_key_value_heads=4)),
    "phimoe": ("Phimoe", dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None, lm_head_bias=True, attention_bias=True)),
    "starcoder2": ("Starcoder2", dict(sliding_window=None, use_bias=True)),
    "starcoder2-untied": ("Starcoder2", dict(sliding_window=None, use_bias=True, tie_word_embeddings=False)),
    "deepseekv2": ("DeepseekV2", MOE | MLA | dict(n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, first_k_dense_replace=1, topk_method="greedy")),
    "deepseekv3": ("DeepseekV3", MOE | MLA | dict(n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, first_k_dense_replace=1, n_group=2, topk_group=1)),
    "glm4moe": ("Glm4Moe", MOE | dict(head_dim=16, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1, use_qk_norm=True)),
    "glm4moelite": ("Glm4MoeLite", MOE | MLA | dict(n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, n_group=1, topk_group=1)),
    "gptoss": ("GptOss", dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=128, layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "granitemoehybrid": ("GraniteMoeHybrid", dict(num_local_experts=0, shared_intermediate_size=48, layer_types=["attention"] * 3, position_embedding_type="rope", mamba_n_heads=4, mamba_d_head=16,
                                                  embedding_multiplier=2.0, attention_multiplier=0.2, residual_multiplier=0.5, logits_scaling=2.0)),
    "qwen3next": ("Qwen3Next", MOE | dict(num_hidden_layers=4, head_dim=16, num_experts=4, num_experts_per_tok=2, shared_expert_intermediate_size=16,
                                          linear_num_value_heads=4, linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=8)),
}


def mixed(x: numpy.ndarray) -> numpy.ndarray:
    """The finaliser of SplitMix64."""
    x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return x ^ (x >> numpy.uint64(31))


def weight(name: str, shape: tuple) -> torch.Tensor:
    """Numbers between -scale and scale, or around 1 for the factors of a normalisation, from the tensor's name."""
    hashed = 0xCBF29CE484222325
    for byte in name.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
    n = int(numpy.prod(shape))
    with numpy.errstate(over="ignore"):
        bits = mixed(numpy.uint64(hashed) + numpy.arange(n, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15))
    unit = (bits >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(2**23) - numpy.float32(1)
    norm = "norm" in name and name.endswith("weight")
    values = numpy.float32(1) + unit * numpy.float32(0.25) if norm else unit * numpy.float32(0.25)
    return torch.from_numpy(values.reshape(shape))


def tokens(seed: int, length: int) -> list:
    with numpy.errstate(over="ignore"):
        return [int(x % numpy.uint64(VOCAB - 8)) + 8 for x in mixed(numpy.uint64(seed) + numpy.arange(length, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15))]


def rounded(values) -> list:
    return [float(f"{x:.7g}") for x in values]


def settings_of(variant: str) -> tuple:
    family, extra = VARIANTS[variant]
    name = {"Gemma3": "Gemma3TextConfig"}.get(family, f"{family}Config")
    return getattr(transformers, name), getattr(transformers, f"{family}ForCausalLM"), {**SHAPE, **extra}


def reference(variant: str) -> dict:
    config_class, model_class, settings = settings_of(variant)
    config = config_class(**settings, attn_implementation="eager")
    torch.manual_seed(0)
    model = model_class(config)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        stored = {name: weight(name, tuple(t.shape)) for name, t in load_file(path).items()}
        save_file(stored, path, metadata={"format": "pt"})
        written = json.loads((Path(folder) / "config.json").read_text())
        model, info = model_class.from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    model.eval()
    sequences = []
    for seed, length in ((7, 20), (11, 60)):
        ids = tokens(seed, length)
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        assert torch.isfinite(logits).all()
        lp = torch.log_softmax(logits.double(), -1)
        answer, answer_lp, margin = [], [], 9.0
        for _ in range(NEW):
            with torch.no_grad():
                last = model(torch.tensor([ids + answer]), use_cache=False).logits[0, -1].double()
            best = last.topk(2).values
            margin = min(margin, (best[0] - best[1]).item())
            answer.append(int(last.argmax()))
            answer_lp.append(torch.log_softmax(last, -1)[answer[-1]].item())
        sequences.append({"ids": ids, "lp": rounded(lp[range(length - 1), ids[1:]].tolist()), "last": rounded(logits[-1].tolist()),
                          "answer": answer, "answer_lp": rounded(answer_lp), "margin": float(f"{margin:.3g}")})
    names = {p: n for n, p in model.named_parameters()}
    ids = torch.tensor([sequences[0]["ids"]])
    logits = model(ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:])
    loss.backward()
    gradients = {names[p]: float(f"{p.grad.double().norm().item():.7g}") for p in model.parameters() if p.grad is not None}
    return {"config": written, "tensors": {n: list(t.shape) for n, t in sorted(stored.items())}, "sequences": sequences,
            "loss": loss.item(), "gradients": dict(sorted(gradients.items()))}


def write(path: Path, value: dict) -> None:
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(part)}" for key, part in value.items())
    path.write_text("{\n" + lines + "\n}\n")


def as_transformers_4(variant: str) -> dict:
    config_class, model_class, settings = settings_of(variant)
    rope = settings.pop("rope_parameters", None)
    if rope and "full_attention" in rope:
        settings["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    if rope:
        rope = dict(rope)
        settings["rope_theta"] = rope.pop("rope_theta")
        if "partial_rotary_factor" in rope:
            settings["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        if rope["rope_type"] == "longrope":
            rope["type"] = rope.pop("rope_type")
        if rope.get("rope_type") != "default":
            settings["rope_scaling"] = rope
    made = config_class(**settings)
    made.architectures = [model_class.__name__]
    return json.loads(made.to_json_string())


def main() -> None:
    arguments = sys.argv[1:]
    configs = arguments[0] == "--configs"
    folder, *names = arguments[configs:]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for variant in names or VARIANTS:
        path = folder / f"{variant}.json"
        try:
            if configs:
                value = json.loads(path.read_text())
                value.pop("config_4", None)
                write(path, {"config": value.pop("config"), "config_4": as_transformers_4(variant), **value})
            else:
                write(path, reference(variant))
            print(variant, path.stat().st_size, flush=True)
        except Exception as error:  # the others are still wanted
            print(variant, "FAILED", repr(error)[:400], flush=True)


main()
