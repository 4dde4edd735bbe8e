"""Makes tests/golden/special: tokenizers whose added and special tokens lie in different files, and what transformers makes of them.

    python tests/python/make_special_tokens.py tests/golden/special

Every folder has the files and `expected.json`: the named special tokens, the ids of some texts, and these ids as text without the
special ones. Needs transformers.
"""

import json
import shutil
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

TEXTS = ["<s>the island</s>", "a <|im_start|>user the <x> </s> <|im_end|>", "<tool>the</tool> <pad><mask>", "the <strip> island <strip>", "<|im_end|><x>"]


def tokenizer(added: list, vocabulary: list) -> Tokenizer:
    """A small byte-level BPE; `vocabulary` are tokens that it knows without having added them."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=256 + len(vocabulary) + 8, show_progress=False, special_tokens=vocabulary,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(["the island"] * 4, trainer)
    content = json.loads(t.to_str())
    content["added_tokens"] = []
    t = Tokenizer.from_str(json.dumps(content))
    t.add_tokens(added)
    return t


def token(content: str, special: bool = True, **more) -> dict:
    return {"content": content, "lstrip": False, "normalized": not special, "rstrip": False, "single_word": False, "special": special, **more}


def special(content: str) -> AddedToken:
    return AddedToken(content, special=True, normalized=False)


def main() -> None:
    root = Path(sys.argv[1])
    base = tokenizer([], ["<s>", "</s>"])
    n = base.get_vocab_size()
    s, e = base.token_to_id("<s>"), base.token_to_id("</s>")
    named = {"bos_token": "<s>", "eos_token": "</s>"}
    cases = {
        # Tokens that the configuration alone has.
        "decoder-adds": (base, {"tokenizer_config.json": {
            **named, "added_tokens_decoder": {str(s): token("<s>"), str(e): token("</s>"), str(n): token("<|im_start|>"), str(n + 1): token("<|im_end|>"),
                                              str(n + 2): token("<x>", special=False)}}}),
        # The map counts only without a decoder.
        "decoder-and-map": (tokenizer([special("<s>"), special("</s>")], ["<s>", "</s>"]), {
            "tokenizer_config.json": {**named, "added_tokens_decoder": {str(s): token("<s>"), str(e): token("</s>")}, "additional_special_tokens": ["<x>"]},
            "special_tokens_map.json": {"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]}}),
        "map-alone": (tokenizer([special("<s>"), special("</s>")], ["<s>", "</s>"]), {
            "tokenizer_config.json": named,
            "special_tokens_map.json": {"eos_token": token("<|im_end|>"), "pad_token": "<pad>", "additional_special_tokens": ["<|im_start|>", "<x>"]}}),
        "added-tokens-file": (base, {
            "tokenizer_config.json": {**named, "mask_token": "<mask>"},
            "added_tokens.json": {"<tool>": n, "</tool>": n + 1, "<mask>": n + 2}}),
        # Known words that are special by name only.
        "named-words": (base, {"tokenizer_config.json": {**named, "image_token": "<x>", "extra_special_tokens": ["<tool>"]}}),
        # What is an ordinary added token by one file is special by the other.
        "special-by-one": (tokenizer([AddedToken("<x>", special=False), AddedToken("<|im_end|>", special=False)], ["<s>", "</s>"]), {
            "tokenizer_config.json": {**named, "added_tokens_decoder": {
                str(s): token("<s>"), str(e): token("</s>"), str(n): token("<x>"), str(n + 1): token("<|im_end|>")}}}),
        "strips": (base, {"tokenizer_config.json": {**named, "added_tokens_decoder": {
            str(n): token("<strip>", lstrip=True, rstrip=True), str(n + 1): token("<x>", special=False, normalized=False)}}}),
        # Flags that are others in `tokenizer.json`: those of the configuration count.
        "decoder-flags": (tokenizer([special("<s>"), special("</s>"), AddedToken("<x>", special=False), special("<|im_end|>"), special("<tool>")], ["<s>", "</s>"]), {
            "tokenizer_config.json": {**named, "added_tokens_decoder": {
                str(s): token("<s>", single_word=True), str(e): token("</s>", rstrip=True), str(n): token("<x>", special=False, lstrip=True, rstrip=True),
                str(n + 1): token("<|im_end|>", lstrip=True), str(n + 2): token("<tool>", special=False)}}}),
        # Older files settle nothing that `tokenizer.json` has.
        "map-flags": (tokenizer([special("<s>"), special("</s>"), AddedToken("<x>", special=False)], ["<s>", "</s>"]), {
            "tokenizer_config.json": named,
            "special_tokens_map.json": {"eos_token": token("</s>", lstrip=True, rstrip=True), "pad_token": "<x>"},
            "added_tokens.json": {"<x>": n}}),
        # New tokens get their ids in the order of the file.
        "named-order": (base, {"tokenizer_config.json": {**named, "vision_token": "<|im_end|>", "audio_token": "<|im_start|>", "extra_special_tokens": {"z_token": "<tool>", "a_token": "</tool>"}}}),
        "tokenizer-alone": (tokenizer([special("<s>"), special("</s>"), special("<|im_end|>")], ["<s>", "</s>"]), {}),
    }
    shutil.rmtree(root, ignore_errors=True)
    for name, (backend, files) in cases.items():
        folder = root / name
        folder.mkdir(parents=True)
        backend.save(str(folder / "tokenizer.json"), pretty=False)
        for file, content in files.items():
            if file == "tokenizer_config.json":
                content = {**content, "tokenizer_class": "PreTrainedTokenizerFast"}
            (folder / file).write_text(json.dumps(content, indent=1) + "\n")
        (folder / "config.json").write_text('{"model_type": "llama"}\n')
        theirs = AutoTokenizer.from_pretrained(folder)
        (folder / "config.json").unlink()
        texts = []
        for text in TEXTS:
            ids = theirs.encode(text, add_special_tokens=False)
            texts.append({"text": text, "ids": ids, "without_special": theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
        expected = {"class": type(theirs).__name__, "named": {k: str(v) for k, v in theirs.special_tokens_map.items() if isinstance(v, str)}, "texts": texts}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
