"""Random-weight models of the benchmark's two sizes, written as model folders with a word-level tokenizer."""

import json
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    # 2.0 M parameters
    "small": dict(hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=2, vocab_size=1024),
    # 134 M parameters
    "base": dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12, vocab_size=32000),
}


def write_model(name: str, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Writes the model `name` below `folder`, unless it is there; returns its folder. Most models are stored in `bfloat16`."""
    if dtype != torch.float32:
        folder = folder / str(dtype).removeprefix("torch.")
    target = folder / name
    if (target / "model.safetensors").exists():
        return target
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[name], max_position_embeddings=2048, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    model = LlamaForCausalLM(config).to(dtype)
    model.save_pretrained(target)
    write_tokenizer(target, config.vocab_size)
    return target


def with_bytes(name: str, folder: Path) -> Path:
    """The model `name` with a tokenizer that has a token for every byte, and so any text; returns its folder."""
    target = folder / f"{name}-bytes"
    if (target / "tokenizer_config.json").exists():
        return target
    shutil.copytree(write_model(name, folder), target, dirs_exist_ok=True)
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate(special + sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Decoder()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(target / "tokenizer.json"))
    return target


def write_tokenizer(target: Path, size: int) -> None:
    """A tokenizer with one token per word `w0`, `w1`, ..., and a chat template that only joins the turns."""
    special = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}
    vocabulary = special | {f"w{i}": i for i in range(len(special), size)}
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for t, i in special.items()
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (target / "tokenizer.json").write_text(json.dumps(tokenizer))
    template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %} </s>{% endif %} {% endfor %}"
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "chat_template": template,
    }
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
