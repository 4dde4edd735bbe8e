"""Makes tests/fixtures/choices: models whose tokenizers split a text otherwise when it stands alone, and what lm-evaluation-harness
says of choices after a prompt.

    python tests/python/make_choices.py tests/fixtures/choices

For every kind of tokenizer a folder with a tiny seeded Llama and `choices.json`: log-likelihoods by `HFLM.loglikelihood` of lm-eval
(prompt and choice encoded together, cut behind the prompt), and per question what its multiple choice counts: `acc`, `acc_norm`,
`mc1` and `mc2`. Needs torch, transformers and lm_eval.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CORPUS = (
    ["the king of the island wrote to the queen of the city", "who is the queen? the queen is not the king",
     "a river in the city is a river on the island", "Q: what is the capital? A: the city by the ocean", "naïve café, the end: ☕",
     "the answer is that the island was founded in a year", "kings and queens, rivers and cities\n\nislands and oceans"]
    * 3
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)

# Prompt (plain text, or turns), the choices as they are scored, and the right one.
ITEMS = [
    ("the capital of the island is", [" the city", " a river", " Rome, of course"], 0),
    ("the capital of the island is ", ["the city", "a river", "king"], 1),  # its space belongs to the choice
    ("the capital of the island is  ", ["the city", " queen"], 0),
    ("Question: who?\nAnswer:\n", ["the queen of the city", "a king"], 1),
    ("the qu", ["een of the city and king", "ill and the river", "eens and kings and cities"], 0),  # merges cross the boundary
    ("nothing between:", ["the king", "kings", "☕ café"], 2),
    ("", ["the king of the island", "queen the the the", "river"], 0),
    ("a naïve ca", ["fé, the end of it", "t and the king"], 0),
    ([{"role": "user", "content": "who is the king?"}], ["the queen", "nobody at all", " a river"], 1),
]


def sentencepiece() -> tuple[Tokenizer, dict]:
    """BPE with byte pieces and a sign before every text, as Llama 2 and Mistral have it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=380, special_tokens=special, limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    # The bytes are pieces, not tokens that a text can spell.
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = file["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def unigram() -> tuple[Tokenizer, dict]:
    """Unigram over words with a sign before each, as XGLM has it; nothing is put before a text."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=130, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def wordpiece() -> tuple[Tokenizer, dict]:
    """WordPiece: a piece inside a word is another token than the same letters at its beginning. It has no BOS."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=190, special_tokens=["[UNK]", "[EOS]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer, {"unk_token": "[UNK]", "eos_token": "[EOS]"}


def byte_level() -> tuple[Tokenizer, dict]:
    """Byte-level BPE without a BOS, as Qwen has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=["<|end|>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer, {"eos_token": "<|end|>"}


def save(folder: Path, tokenizer: Tokenizer, special: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ids = {name.replace("token", "token_id"): tokenizer.token_to_id(token) for name, token in special.items() if name != "unk_token"}
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, initializer_range=0.4, tie_word_embeddings=True,
        bos_token_id=ids.get("bos_token_id"), eos_token_id=ids["eos_token_id"], pad_token_id=None)
    torch.manual_seed(7)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {**special, "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256, "chat_template": TURNS}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def references(folder: Path) -> list[dict]:
    # The file as it stands: transformers would put another normaliser into some classes.
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"),
                                        **{k: v for k, v in json.loads((folder / "tokenizer_config.json").read_text()).items() if k != "tokenizer_class"})
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")
    items = []
    for prompt, choices, correct in ITEMS:
        text = prompt
        if not isinstance(prompt, str):
            text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        asked = [Instance("loglikelihood", {}, (text, choice), i) for i, choice in enumerate(choices)]
        scores = np.array([score for score, _ in harness.loglikelihood(asked, disable_tqdm=True)])
        pairs = [harness._encode_pair(text, choice) if text else (None, None) for choice in choices]
        whole = [harness.tok_encode(text + choice) for choice in choices]
        merged = [p is not None and w[:len(p)] != p for (p, _), w in zip(pairs, whole)]
        # lm-eval counts its delimiter, the space between prompt and choice, as no part of the choice.
        lengths = np.array([len(choice.lstrip()) for choice in choices], dtype=float)
        p = np.exp(scores)
        items.append({
            "prompt": prompt, "choices": choices, "correct": correct, "loglikelihood": scores.tolist(), "merged": any(merged),
            "tokens": [len(c) if c is not None else None for _, c in pairs],
            "acc": float(np.argmax(scores) == correct), "acc_norm": float(np.argmax(scores / lengths) == correct),
            "mc1": float(scores[correct] > max(s for i, s in enumerate(scores) if i != correct)),
            "mc2": float(p[correct] / p.sum()),
        })
    return items


def main() -> None:
    place = Path(sys.argv[1])
    for name, make in [("sentencepiece", sentencepiece), ("unigram", unigram), ("wordpiece", wordpiece), ("byte-level", byte_level)]:
        folder = place / name
        tokenizer, special = make()
        save(folder, tokenizer, special)
        text = json.dumps({"made_by": "lm_eval HFLM.loglikelihood, f32, CPU", "items": references(folder)}, ensure_ascii=False, indent=1)
        (folder / "choices.json").write_text(text + "\n", encoding="utf-8")
        print(name, [item["merged"] for item in json.loads(text)["items"]])


if __name__ == "__main__":
    main()
