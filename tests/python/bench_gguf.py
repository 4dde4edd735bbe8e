"""One answer of a GGUF file with random weights, token by token: driftgauge's native decoder, llama.cpp, and the memory's own limit.

    cargo build -p driftgauge -p driftgauge-lm --examples
    python tests/python/bench_gguf.py --build target/debug --format Q4_K --folder FOLDER

Needs gguf, numpy, tokenizers, sentencepiece and xllamacpp (llama.cpp). Prints a row for docs/performance.md, and the numbers as JSON.
"""

import argparse
import json
import os
import subprocess
import urllib.request
from pathlib import Path

import gguf
import numpy as np
from make_gguf import byte_level

# About 1.1 B parameters.
SHAPE = {"layers": 16, "hidden": 2048, "inner": 8192, "heads": 32, "key_heads": 8, "words": 32000}


def blocks(source: np.random.Generator, kind: gguf.GGMLQuantizationType, rows: int, inputs: int) -> np.ndarray:
    """Random codes, with scales that leave weights of a standard deviation of about 0.02."""
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    data = source.integers(0, 256, (rows, inputs // numbers, size), dtype=np.uint8)
    half = lambda value: np.frombuffer(np.float16(value).tobytes(), np.uint8)
    name = kind.name
    if name in ("Q4_0", "Q5_0", "Q8_0"):
        data[:, :, 0:2] = half({"Q4_0": 4e-3, "Q5_0": 2e-3, "Q8_0": 3e-4}[name])
    elif name in ("Q4_K", "Q5_K"):
        # Every scale of six bits is 32, and so is every offset: the middle of the codes.
        data[:, :, 4:12], data[:, :, 12:16] = 0xA0, 0
        data[:, :, 0:2] = half(1.3e-4 if name == "Q4_K" else 6e-5)
        data[:, :, 2:4] = half(1e-3 if name == "Q4_K" else 9e-4)
    elif name == "Q6_K":
        data[:, :, 192:208] = 32
        data[:, :, 208:210] = half(3.4e-5)
    else:
        raise SystemExit(f"{name} is not made here")
    return data.reshape(rows, -1)


def write(path: Path, kind: gguf.GGMLQuantizationType) -> None:
    source = np.random.default_rng(7)
    shape = SHAPE
    width = shape["hidden"] // shape["heads"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(shape["hidden"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["inner"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["key_heads"])
    writer.add_rope_dimension_count(width)
    writer.add_layer_norm_rms_eps(1e-5)
    words = byte_level("gpt-2")[1]
    spare = [f"<|spare {i}|>" for i in range(shape["words"] - len(words["tokens"]))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words["tokens"] + spare)
    writer.add_token_types(words["kinds"] + [4] * len(spare))
    writer.add_token_merges(words["merges"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    hidden, inner, keys = shape["hidden"], shape["inner"], shape["key_heads"] * width

    def matrix(name: str, rows: int, inputs: int) -> None:
        writer.add_tensor(f"{name}.weight", blocks(source, kind, rows, inputs), raw_dtype=kind)

    matrix("token_embd", shape["words"], hidden)
    matrix("output", shape["words"], hidden)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for layer in range(shape["layers"]):
        for name, rows, inputs in [("attn_q", hidden, hidden), ("attn_k", keys, hidden), ("attn_v", keys, hidden), ("attn_output", hidden, hidden),
                                   ("ffn_gate", inner, hidden), ("ffn_up", inner, hidden), ("ffn_down", hidden, inner)]:
            matrix(f"blk.{layer}.{name}", rows, inputs)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(hidden, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(path: Path, tokens: int, threads: int) -> float:
    """Tokens per second, as its server counts them, the best of three answers."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_gpu_layers, params.n_parallel = str(path), 1024, 0, 1
    params.cpuparams.n_threads = threads
    server = xllamacpp.Server(params)
    best = 0.0
    for _ in range(3):
        body = {"prompt": "the king of the island", "n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        request = urllib.request.Request(f"{server.listening_address}/completion", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        best = max(best, json.load(urllib.request.urlopen(request))["timings"]["predicted_per_second"])
    return best


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--build", type=Path, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--format", default="Q4_K")
    arguments.add_argument("--tokens", type=int, default=48)
    arguments.add_argument("--no-llama-cpp", action="store_true")
    options = arguments.parse_args()
    path = options.folder / f"random-{options.format}.gguf"
    if not path.exists():
        write(path, gguf.GGMLQuantizationType[options.format])
    proof = path.with_suffix(".proof.json")
    threads = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    program = options.build / "examples" / "bench_gguf"
    # The first run proves the model and is not counted.
    for _ in range(1 if proof.exists() else 2):
        ours = json.loads(subprocess.run([program, path, str(options.tokens), proof], check=True, capture_output=True, text=True).stdout)
    theirs = None if options.no_llama_cpp else llama_cpp(path, options.tokens, threads)
    print(json.dumps({"ours": ours, "llama.cpp": theirs, "load": load}))
    peer = "-" if theirs is None else f"llama.cpp: {theirs:.1f} tok/s"
    ratio = "" if theirs is None else f"**{ours['tokens_per_second'] / theirs:.2f}**"
    print(f"| one answer of {options.format}, 1.1 B random parameters ({ours['share'] * 100:.0f} % of the {ours['limit']:.1f} tok/s that reading its "
          f"{ours['bytes'] / 2**20:.0f} MiB allows) | {peer} | {ours['tokens_per_second']:.1f} tok/s | {ratio} |")


if __name__ == "__main__":
    main()
