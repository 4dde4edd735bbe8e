"""Makes tests/fixtures/gguf-blocks: tiny GGUF files whose weights are blocks of many formats, and what transformers answers with them.

    python tests/python/make_gguf_blocks.py tests/fixtures/gguf-blocks

transformers reads the file itself, dequantises its blocks with the `gguf` package into f32 and puts the rows of a Llama's queries and keys
back into their order. The codes are random bytes, so every value of them occurs. Needs gguf, numpy, torch and transformers.
"""

import json
import random
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from transformers import AutoModelForCausalLM, GgufConfig

WORDS, HIDDEN, INNER, HEADS, KEY_HEADS = 64, 256, 256, 2, 1
# Of a head. transformers reads of a file no other width of a Qwen than 128.
WIDTHS = {"llama": 32, "qwen2": 128, "qwen3": 128}

# Formats by tensor; the rows of `attn_output` have 64 numbers where heads are narrow, all others 256.
FORMATS = {
    "llama": {"attn_q": Q.Q4_K, "attn_k": Q.Q5_K, "attn_v": Q.Q6_K, "attn_output": Q.Q5_0, "ffn_gate": Q.Q4_K, "ffn_up": Q.Q4_0, "ffn_down": Q.Q6_K,
              "token_embd": Q.Q6_K, "output": Q.Q8_0},
    "qwen2": {"attn_q": Q.Q4_0, "attn_k": Q.Q4_1, "attn_v": Q.Q5_1, "attn_output": Q.Q8_0, "ffn_gate": Q.Q5_0, "ffn_up": Q.Q5_K, "ffn_down": Q.Q4_K,
              "token_embd": Q.Q8_0, "output": Q.F16},
    "qwen3": {"attn_q": Q.Q8_0, "attn_k": Q.F16, "attn_v": Q.BF16, "attn_output": Q.Q4_1, "ffn_gate": Q.Q6_K, "ffn_up": Q.Q5_1, "ffn_down": Q.Q5_K,
              "token_embd": Q.Q4_K},
}


def matrix(source: np.random.Generator, kind: Q, rows: int, inputs: int) -> np.ndarray:
    if kind in (Q.F16, Q.BF16):
        return gguf.quantize((source.standard_normal((rows, inputs)) * 0.06).astype(np.float32), kind)
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    data = source.integers(0, 256, (rows, inputs // numbers, size), dtype=np.uint8)

    def halves(at: int, low: float, high: float) -> None:
        values = source.uniform(low, high, data.shape[:2]).astype(np.float16)
        data[:, :, at : at + 2] = np.frombuffer(values.tobytes(), np.uint8).reshape(*data.shape[:2], 2)

    scales = {Q.Q4_0: (-0.02, 0.02), Q.Q5_0: (-0.01, 0.01), Q.Q8_0: (-1.2e-3, 1.2e-3), Q.Q4_1: (0.008, 0.016), Q.Q5_1: (0.004, 0.008),
              Q.Q4_K: (2e-4, 5e-4), Q.Q5_K: (1e-4, 2.5e-4), Q.Q6_K: (-5e-5, 5e-5)}
    halves(208 if kind == Q.Q6_K else 0, *scales[kind])
    if kind in (Q.Q4_1, Q.Q5_1):
        halves(2, -0.14, -0.06)
    if kind in (Q.Q4_K, Q.Q5_K):
        halves(2, 1.5e-3, 4e-3)
    return data.reshape(rows, -1)


def write(path: Path, name: str) -> None:
    source = np.random.default_rng(len(name) + ord(name[-1]))
    layers = 2 if name == "llama" else 1
    width = WIDTHS[name]
    writer = gguf.GGUFWriter(str(path), name)
    # Tensors begin at other places than they would by themselves.
    writer.add_custom_alignment(128)
    writer.add_context_length(128)
    writer.add_vocab_size(WORDS)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if name == "llama":
        writer.add_rope_dimension_count(width)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(WORDS)])
    writer.add_token_merges([])
    formats = FORMATS[name]

    def add(tensor: str, kind: Q, rows: int, inputs: int) -> None:
        data = matrix(source, kind, rows, inputs)
        writer.add_tensor(f"{tensor}.weight", data, raw_dtype=kind)

    def norm(tensor: str, size: int) -> None:
        writer.add_tensor(f"{tensor}.weight", source.uniform(0.7, 1.3, size).astype(np.float32))

    add("token_embd", formats["token_embd"], WORDS, HIDDEN)
    if "output" in formats:
        add("output", formats["output"], WORDS, HIDDEN)
    norm("output_norm", HIDDEN)
    shapes = {"attn_q": (HEADS * width, HIDDEN), "attn_k": (KEY_HEADS * width, HIDDEN), "attn_v": (KEY_HEADS * width, HIDDEN),
              "attn_output": (HIDDEN, HEADS * width), "ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER)}
    for layer in range(layers):
        for tensor, (rows, inputs) in shapes.items():
            add(f"blk.{layer}.{tensor}", formats[tensor], rows, inputs)
            if name == "qwen2" and tensor in ("attn_q", "attn_k", "attn_v"):
                writer.add_tensor(f"blk.{layer}.{tensor}.bias", source.uniform(-1, 1, rows).astype(np.float32))
        norm(f"blk.{layer}.attn_norm", HIDDEN)
        norm(f"blk.{layer}.ffn_norm", HIDDEN)
        if name == "qwen3":
            norm(f"blk.{layer}.attn_q_norm", width)
            norm(f"blk.{layer}.attn_k_norm", width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def reference(path: Path) -> dict:
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32, attn_implementation="eager").eval()
    source = random.Random(3)
    samples = []
    for length in (1, 5, 23, 60):
        prompt = [source.randrange(WORDS) for _ in range(length)]
        ids, answer, ln_p = list(prompt), [], []
        for _ in range(12):
            with torch.no_grad():
                row = model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
            token = int(row.argmax())
            ids.append(token)
            answer.append(token)
            ln_p.append(float(row[token]))
        samples.append({"prompt": prompt, "answer": answer, "ln_p": ln_p})
    return {"samples": samples}


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in FORMATS:
        path = folder / f"{name}.gguf"
        write(path, name)
        path.with_suffix(".json").write_text(json.dumps(reference(path)) + "\n")
        print(name, path.stat().st_size)


if __name__ == "__main__":
    main()
