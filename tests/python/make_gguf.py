"""Makes tests/fixtures/gguf: GGUF files that hold a tokenizer alone, and what 200 texts become.

    python tests/python/make_gguf.py tests/fixtures/gguf

Byte-level tokenizers are learnt with the very pre-tokenizer that the `tokenizer.json` of a public family has, and their reference is that
file; pieces with scores come from SentencePiece. llama.cpp (package xllamacpp) reads each file too, with a tiny model around it: where it
says something else than the reference, the texts are counted in `NAME.json`. Needs gguf, tokenizers, sentencepiece, numpy and xllamacpp.
"""

import io
import json
import random
import sys
import tempfile
import urllib.request
from pathlib import Path

import gguf
import numpy as np
import sentencepiece
import xllamacpp
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

CORPUS = [
    "The king of the island wrote to the queen: it's late, they're here, I'll go, we've seen him; don't! IT'S HE'LL",
    "In 1234567 years and 2024-07-26 at 10:45:00 there were 12 rivers, 3.14159 mountains and 1,000,000 names",
    "def capital(country):\n    if country == 'island':\n        return {\"name\": \"city\", \"n\": 42}\n\n\treturn None  # nothing\n",
    "naïve café, crème brûlée, Ünïcödé, façade; São Paulo, Łódź, Ελλάδα, Москва, Київ, тест ТЕСТ",
    "中文字符和汉字。日本語のかなカナと漢字、東京都。한국어 문장입니다. 서울특별시",
    "العربية نص قصير، עברית טקסט, हिन्दी में कुछ शब्द, ไทยภาษา",
    "emoji ☕ 🎉👩‍👩‍👧‍👦 🇫🇷 and symbols €£¥ ±×÷ ½ ² ③ ™ … — “quoted” ‘single’ «guillemets»",
    "line one\nline two\r\nline three\n\n\nafter three\t\ttabs   and    spaces     everywhere  \n  \n",
    "CamelCaseWords and snake_case_words, kebab-case-words; HTTPServer, iPhone, MacBookPro, x86_64, utf8, A1B2C3",
    "http://example.org/a/b?c=d&e=f#g user@example.org /usr/local/bin $HOME %20 100% #1 @you (a) [b] {c} <d> |e| ~f` ^g*",
] * 6
SPECIAL = ["<|begin|>", "<|end|>", "<|turn|>", "<pad>"]
USER = ["<tool>", "<|x|>"]

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
          r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?"
         r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
            "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def split(*patterns: str):
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*steps, BYTES])


# By `tokenizer.ggml.pre`: the pre-tokenizer of the family's tokenizer.json, whether merges are passed over, whether BOS is put first.
BYTE_LEVEL = {
    "gpt-2": (GPT2, False, False),
    "smollm": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2]), False, False),
    "qwen2": (split(QWEN2), False, False),
    "llama-bpe": (split(LLAMA3), True, True),
    "tekken": (split(TEKKEN), True, True),
    "gpt-4o": (split(GPT4O), False, False),
    "deepseek-v3": (split(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK), False, False),
}


def texts() -> list[str]:
    """200 texts that tokenizers trip over."""
    source = random.Random(5)
    out = ["", " ", "  ", "\n", "\n\n\n", "\r\n", "\t", " a", "a ", "  a  b  ", "a\n b", " \n a", "\u00a0a\u2003b", "\u200b", "\ufeffx", "x\u0301e\u0301",
           "'s", "it's IT'S it’s", "'S 'LL 'Re", "123", "1234", "12345678", "1 2 3", "a1b22c333d4444", "３４５", "½²③", "Ⅷ", "١٢٣", "3.14,159",
           "中文", "中文 字符 abc", "かなカナ漢字", "한국어", "日本語123", "ｶﾅ", "العربية", "हिन्दी", "ไทย", "🎉", "👩‍👩‍👧‍👦", "🇫🇷🇩🇪", "☕️", "a🎉b", "𝒳𝓎", "\U00010348",
           "<|begin|>", "<|begin|>a", "a<|end|>b", " <|turn|> ", "<|turn|>\n\n", "<|turn|> x", "<pad><pad>", "<|begin|<|end|>", "<|en", "<tool>", "a<tool>b", "<|x|> y", "x <|x|>",
           "<unk>", "<s>", "</s>", "<0x0A>", "[INST] a [/INST]", "----", "=====", "!!!???", "a--b==c", "...", "…", "()[]{}", "/* c */", "//x\n/y", "\\n", "\\\\",
           "café", "cafe\u0301", "ÀÉÎ", "ß", "ſ's", "İi", "ﬁ", "Ω", "μµ", "Å\u212b", "CamelCase", "HTTPServer", "aB", "ABCdef", "a_b_c", "__init__", "x86_64",
           "http://a.b/c?d=e&f", "a@b.c", "100%", "$5", "#tag", "a\u2028b", "a\u0085b", "a\x0bb", "a\x00b", "\x7f", "a" * 40, "ab" * 30, "the " * 12, " " * 33, "\n" * 9, "0" * 17]
    pieces = [word for line in CORPUS[:10] for word in line.split(" ")]
    joints = [" ", " ", " ", "  ", "\n", "\t", "", ", ", "<|turn|>", "1", "'s "]
    while len(out) < 200:
        out.append("".join(source.choice(pieces) + source.choice(joints) for _ in range(source.randint(2, 9))))
    return out[:200]


def byte_level(name: str) -> tuple[Tokenizer, dict]:
    splits, ignore_merges, _ = BYTE_LEVEL[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = splits
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=620, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet, min_frequency=2))
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in USER])
    file = json.loads(tokenizer.to_str())
    words = dict(file["model"]["vocab"])
    for token in file["added_tokens"]:
        words[token["content"]] = token["id"]
    tokens = [token for token, _ in sorted(words.items(), key=lambda item: item[1])]
    kinds = [3 if token in SPECIAL else 4 if token in USER else 1 for token in tokens]
    merges = [" ".join(pair) for pair in file["model"]["merges"]]
    if BYTE_LEVEL[name][2]:
        tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    return tokenizer, {"model": "gpt2", "pre": name, "tokens": tokens, "kinds": kinds, "merges": merges, "bos": 0, "eos": 1}


def pieces(**options) -> tuple[sentencepiece.SentencePieceProcessor, dict]:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in CORPUS for line in text.split("\n") if line]), model_writer=out, model_type="bpe", vocab_size=760,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, user_defined_symbols=USER,
        control_symbols=["<|begin|>", "<|end|>", "<|turn|>", "<pad>"], num_threads=1, minloglevel=2, **options)
    model = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    ids = range(model.get_piece_size())
    kind = lambda i: (2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 4 if model.id_to_piece(i) in USER else 1)
    return model, {"model": "llama", "tokens": [model.id_to_piece(i) for i in ids], "scores": [model.get_score(i) for i in ids],
                   "kinds": [kind(i) for i in ids], "bos": 1, "eos": 2, "unk": 0}


def write(path: Path, words: dict, weights: bool) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(16)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(words["model"])
    if "pre" in words:
        writer.add_tokenizer_pre(words["pre"])
        writer.add_token_merges(words["merges"])
    else:
        writer.add_token_scores(words["scores"])
        writer.add_unk_token_id(words["unk"])
    writer.add_token_list(words["tokens"])
    writer.add_token_types(words["kinds"])
    writer.add_bos_token_id(words["bos"])
    writer.add_eos_token_id(words["eos"])
    for key in ("add_bos_token", "add_eos_token", "add_space_prefix"):
        if key in words:
            writer.add_bool(f"tokenizer.ggml.{key}", words[key])
    if weights:
        make = lambda *shape: np.zeros(shape, dtype=np.float32)
        count = len(words["tokens"])
        for name, shape in {"token_embd": (count, 32), "output_norm": (32,), "output": (count, 32), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,),
                            "blk.0.attn_q": (32, 32), "blk.0.attn_k": (32, 32), "blk.0.attn_v": (32, 32), "blk.0.attn_output": (32, 32),
                            "blk.0.ffn_gate": (32, 32), "blk.0.ffn_up": (32, 32), "blk.0.ffn_down": (32, 32)}.items():
            writer.add_tensor(f"{name}.weight", make(*shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(words: dict, strings: list[str], add_special: bool) -> list[list[int]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        write(path, words, weights=True)
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.warmup, params.n_gpu_layers = str(path), 64, False, 0
        server = xllamacpp.Server(params)
        out = []
        for text in strings:
            body = json.dumps({"content": text, "add_special": add_special, "parse_special": True}).encode()
            request = urllib.request.Request(f"{server.listening_address}/tokenize", data=body, headers={"Content-Type": "application/json"})
            out.append(json.load(urllib.request.urlopen(request))["tokens"])
        return out


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    strings = texts()
    (folder / "texts.json").write_text(json.dumps(strings, ensure_ascii=True, indent=0) + "\n")

    def keep(name: str, words: dict, ids: list, dressed: list, source: str, decoded: list) -> None:
        write(folder / f"{name}.gguf", words, weights=False)
        theirs = llama_cpp(words, strings, False)
        other = [i for i, (a, b) in enumerate(zip(ids, theirs)) if a != b]
        theirs = llama_cpp(words, strings, True)
        other_dressed = [i for i, (a, b) in enumerate(zip(dressed, theirs)) if a != b and i not in other]
        print(name, "llama.cpp differs on", len(other), "and, dressed, on", len(other_dressed), [strings[i] for i in (other + other_dressed)[:8]])
        value = {"reference": source, "ids": ids, "dressed": dressed, "decoded": decoded, "llama_cpp_differs": other + other_dressed}
        (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=True).replace("], [", "],\n[") + "\n")

    for name in BYTE_LEVEL:
        tokenizer, words = byte_level(name)
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in strings]
        dressed = [tokenizer.encode(text, add_special_tokens=True).ids for text in strings]
        keep(f"bpe-{name}", words, ids, dressed, "tokenizer.json of the family", [tokenizer.decode(i, skip_special_tokens=True) for i in ids])

    for name, options, flags in [("spm", {}, {}), ("spm-no-prefix", {"add_dummy_prefix": False}, {"add_space_prefix": False}),
                                 ("spm-ends", {}, {"add_eos_token": True, "add_bos_token": False})]:
        model, words = pieces(**options)
        words.update(flags)
        # SentencePiece never finds control tokens in a text; llama.cpp does, as the family's tokenizer.json does.
        ids = llama_cpp(words, strings, False)
        plain = [i for i, text in enumerate(strings) if not any(token in text for token in SPECIAL + USER + ["<s>", "</s>", "<unk>"])]
        wrong = [strings[i] for i in plain if model.encode(strings[i]) != ids[i] and "\0" not in strings[i]]
        print(name, "SentencePiece differs on", len(wrong), "of", len(plain), wrong[:6])
        keep(name, words, ids, llama_cpp(words, strings, True), "llama.cpp", [model.decode([t for t in i if t != words["unk"]]) for i in ids])


if __name__ == "__main__":
    main()
