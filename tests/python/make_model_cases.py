"""Ways in which a model folder can differ from a golden one, a kind each: `python make_model_cases.py FOLDER` (tests/fixtures/models).

A case is a golden folder with changes: keys of its configurations (null takes one out), files, weights. What transformers makes of the changed folder
(f32, CPU, greedy) stands beside it, with what each engine has to do: give the same, or refuse it with the words. `tests/end_to_end/model_cases.rs`
makes the folders and holds both engines against this. Made with transformers 5.24; the changes of weights are the same here and there."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
QUESTIONS = ["what is the capital of the island?", "who wrote to the king?", "the river"]
NEW = 10
SAME = None


def old_rope(theta=10000.0, scaling=None, **more):
    return {"rope_parameters": None, "rope_theta": theta, "rope_scaling": scaling, **more}


def rope(**parameters):
    return {"rope_parameters": {"rope_theta": 10000.0, **parameters}, "rope_theta": None}


def case(golden="llama", mistralrs=SAME, native=SAME, **changes):
    """SAME: as transformers; else words of the refusal. Nothing is computed where both refuse."""
    return {"golden": golden, "mistralrs": mistralrs, "native": native, **changes}


TEMPLATE = json.loads((GOLDEN / "llama/tokenizer_config.json").read_text())["chat_template"]
CASES = {
    # Positions, as transformers 4 and 5 write them.
    "rope-linear-4": case(config=old_rope(scaling={"type": "linear", "factor": 4.0})),
    "rope-linear-5": case(config=rope(rope_type="linear", factor=4.0)),
    "rope-llama3-5": case(config=rope(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "rope-yarn-4": case(config=old_rope(scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}), mistralrs="yarn"),
    "rope-yarn-5": case(config=rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=64, attention_factor=1.3), mistralrs="yarn"),
    "rope-dynamic": case(config=old_rope(scaling={"rope_type": "dynamic", "factor": 2.0}), mistralrs="dynamic"),
    "rope-qwen2-linear": case("qwen2", config=old_rope(scaling={"rope_type": "linear", "factor": 3.0}), mistralrs="linear"),
    "rope-qwen2-yarn": case("qwen2", config=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32), mistralrs="yarn"),
    "rope-qwen3-yarn": case("qwen3", config=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32), mistralrs="yarn"),
    # As in published folders: the key that transformers reads is `attention_factor`.
    "rope-qwen3-yarn-attn-factor": case(
        "qwen3", config=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, attn_factor=0.87), mistralrs="yarn", native="attn_factor"),
    "rope-mistral-linear": case("mistral", config=old_rope(scaling={"rope_type": "linear", "factor": 2.0}), mistralrs="linear"),
    "rope-theta-whole": case(config=old_rope(theta=500000)),
    "rope-default-beside": case(config={"rope_scaling": {"rope_type": "default"}}),
    "rope-two-factors": case(
        config={"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        mistralrs="contradict", native="contradict"),
    "rope-factor-zero": case(config=rope(rope_type="linear", factor=0.0), mistralrs="factor", native="factor"),
    "rope-factor-below-one": case(config=rope(rope_type="linear", factor=0.25), mistralrs="0.25", native="0.25"),
    "context-endless": case(config={"max_position_embeddings": 4000000000}, mistralrs="4000000000", native="4000000000"),
    "rope-unknown-type": case(config=rope(rope_type="proportional"), mistralrs="proportional", native="proportional"),
    "rope-unknown-key": case(config=rope(rope_type="linear", factor=2.0, mystery=3), mistralrs="mystery", native="mystery"),
    # transformers passes this key over for a Llama, so there is nothing that it would mean.
    "rope-partial-llama": case(config=rope(rope_type="default", partial_rotary_factor=0.5), mistralrs="partial_rotary_factor", native="partial_rotary_factor"),
    "rope-partial-glm4": case("glm4", config={"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default", "partial_rotary_factor": 1.0}}),
    # Shapes and activations.
    "norm-epsilon": case(config={"rms_norm_eps": 1e-2}),
    "norm-epsilon-absent": case(config={"rms_norm_eps": None}),
    "head-dim-absent": case(config={"head_dim": None}),
    "activation": case(config={"hidden_act": "gelu"}, mistralrs="gelu", native="gelu"),
    "layers-fewer": case(config={"num_hidden_layers": 2}, mistralrs="model.layers.2.", native="model.layers.2."),
    "layers-more": case(config={"num_hidden_layers": 4}, mistralrs="model.layers.3.", native="model.layers.3."),
    "vocabulary": case(config={"vocab_size": 400}, mistralrs="400", native="400"),
    "class-none": case(config={"architectures": None}, mistralrs="architectures", native="architectures"),
    "class-two": case(config={"architectures": ["LlamaForCausalLM", "MistralForCausalLM"]}, mistralrs="several model classes", native="exactly one architecture"),
    # Keys of other families, and of this one that change what is computed.
    "key-logits-scaling": case(config={"logits_scaling": 4.0}, mistralrs="logits_scaling", native="logits_scaling"),
    "key-embedding-multiplier": case(config={"embedding_multiplier": 12.0}, mistralrs="embedding_multiplier", native="embedding_multiplier"),
    "key-softcap": case(config={"final_logit_softcapping": 30.0}, mistralrs="softcapping", native="softcapping"),
    "key-no-effect": case(config={"use_cache": False, "pretraining_tp": 2, "attention_dropout": 0.1}),
    # Windows.
    "window-llama": case(config={"sliding_window": 16}, mistralrs="sliding_window", native="sliding_window"),
    "window-mistral": case("mistral", config={"sliding_window": 8}, mistralrs="sliding_window"),
    "window-qwen2": case("qwen2", config={"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1, "layer_types": None}, mistralrs="sliding_window"),
    "window-qwen2-unused": case("qwen2", config={"use_sliding_window": False, "sliding_window": 8, "max_window_layers": 1}),
    # Biases: in the file and the configuration, or in one of them.
    "bias-attention": case(
        config={"attention_bias": True},
        weights=[{"add": {f"model.layers.{i}.self_attn.{p}_proj.bias": [n] for i in range(3) for p, n in (("q", 64), ("k", 32), ("v", 32), ("o", 64))}}],
        mistralrs="attention_bias"),
    "bias-mlp": case(
        config={"mlp_bias": True},
        weights=[{"add": {f"model.layers.{i}.mlp.{p}_proj.bias": [n] for i in range(3) for p, n in (("gate", 144), ("up", 144), ("down", 64))}}],
        mistralrs="mlp_bias"),
    "bias-only-in-file": case(weights=[{"add": {"model.layers.0.self_attn.q_proj.bias": [64]}}], mistralrs="q_proj.bias", native="q_proj.bias"),
    "bias-only-in-config": case(config={"attention_bias": True}, mistralrs="attention_bias", native="bias"),
    # Weights: types, sets, shards, indexes, heads.
    "type-bf16": case(weights=[{"cast": "bf16"}]),
    "type-f16": case(weights=[{"cast": "f16"}]),
    "type-f64": case(weights=[{"cast": "f64"}], mistralrs="stored as F64", native="stored as F64"),
    "tensor-extra-layer": case(weights=[{"add": {"model.layers.3.mlp.up_proj.weight": [144, 64]}}], mistralrs="layers.3", native="layers.3"),
    "tensor-missing": case(weights=[{"remove": ["model.layers.2.mlp.up_proj.weight"]}], mistralrs="up_proj", native="up_proj"),
    "tensor-names-without-model": case(
        weights=[{"without_prefix": "model."}], mistralrs="weight `embed_tokens.weight` has no place", native="embed_tokens.weight"),
    "head-missing": case(weights=[{"remove": ["lm_head.weight"]}], mistralrs="lm_head", native="lm_head"),
    "head-tied-beside-another": case(config={"tie_word_embeddings": True}, mistralrs="tie_word_embeddings", native="tie_word_embeddings"),
    "shards": case(weights=[{"shards": {}}]),
    "shards-stale-index": case(weights=[{"shards": {"more": "model.layers.7.mlp.up_proj.weight"}}], mistralrs="layers.7", native="layers.7"),
    "shards-index-lacks": case(weights=[{"shards": {"less": "model.layers.1.mlp.up_proj.weight"}}]),
    # One file alone goes before shards, as in transformers.
    "sets-two": case(weights=[{"shards": {"beside": 1.5}}]),
    # Beside the weights.
    "adapter-beside": case(
        files={"adapter_config.json": '{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], "base_model_name_or_path": "x"}'},
        mistralrs="adapter_config.json", native="adapter_config.json"),
    "quantised-as-said-only": case(
        config={"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, mistralrs="quanti", native="quanti"),
    "quantised-unknown": case(config={"quantization_config": {"quant_method": "hqq", "bits": 4}}, mistralrs="hqq", native="hqq"),
    # Weights that are stored in blocks: mistral.rs 0.8.1 has kernels for GPUs alone, or takes the scale of one block for the next.
    "quantised-gptq": case(
        config={"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 16}},
        weights=[{"remove": ["model.layers.0.mlp.up_proj.weight"]}, {"add": {"model.layers.0.mlp.up_proj.qweight": [8, 144]}}],
        mistralrs="`gptq` on GPUs alone", native="gptq"),
    "quantised-bitsandbytes": case(
        config={"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}},
        weights=[{"remove": ["model.layers.0.mlp.up_proj.weight"]}, {"add": {"model.layers.0.mlp.up_proj.weight": [4608, 1], "model.layers.0.mlp.up_proj.weight.absmax": [144]}}],
        mistralrs="`bitsandbytes` wrongly on a processor", native="bitsandbytes"),
    "ends-of-generation": case(files={"generation_config.json": '{"eos_token_id": [2, 1, 274]}'}),
    # Special tokens from all of the files.
    "tokens-map-alone": case(
        tokenizer={"bos_token": None, "eos_token": None},
        files={"special_tokens_map.json": '{"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}'}),
    "tokens-map-object": case(
        tokenizer={"bos_token": None},
        files={"special_tokens_map.json": '{"bos_token": {"content": "<|end_of_text|>", "lstrip": false, "rstrip": false, "normalized": false, "single_word": false}}'}),
    "tokens-map-differs": case(files={"special_tokens_map.json": '{"bos_token": "<|eot_id|>"}'}),
    "tokens-additional": case(tokenizer={"additional_special_tokens": ["<|start_header_id|>"]}),
    # What `tokenizer.json` says otherwise: white space belongs to the token.
    "tokens-flags": case(tokenizer={"added_tokens_decoder": {
        "4": {"content": "<|end_header_id|>", "lstrip": False, "normalized": False, "rstrip": True, "single_word": False, "special": True}}}),
    # Templates: where they stand, and what they are.
    "template-file-wins": case(files={"chat_template.jinja": TEMPLATE.replace("assistant", "model")}),
    "template-list": case(tokenizer={"chat_template": [{"name": "default", "template": TEMPLATE}, {"name": "rag", "template": "X" + TEMPLATE}]}),
    "template-list-without-default": case(
        tokenizer={"chat_template": [{"name": "tool_use", "template": TEMPLATE}, {"name": "rag", "template": "X" + TEMPLATE}]}, mistralrs="default", native="default"),
    "template-list-two-defaults": case(
        tokenizer={"chat_template": [{"name": "default", "template": TEMPLATE}, {"name": "default", "template": "X" + TEMPLATE}]},
        mistralrs="two templates `default`", native="two templates `default`"),
    "template-empty": case(files={"chat_template.jinja": "\n"}, mistralrs="is empty", native="is empty"),
    "template-further": case(files={"chat_template.jinja": TEMPLATE, "additional_chat_templates/rag.jinja": "X"}),
    "template-further-alone": case(files={"additional_chat_templates/rag.jinja": TEMPLATE}, mistralrs="no `default`", native="no `default`"),
    "template-none": case(tokenizer={"chat_template": None}, mistralrs="template", native="template"),
    "template-refuses": case(tokenizer={"chat_template": "{{ raise_exception('only turns of old') }}"}, mistralrs="only turns of old", native="only turns of old"),
    "template-crlf": case(tokenizer={"chat_template": TEMPLATE.replace("\n\n", "\r\n\r\n")}),
}


def merged(path, changes):
    values = json.loads(path.read_text())
    for key, value in changes.items():
        values.pop(key, None) if value is None else values.update({key: value})
    path.write_text(json.dumps(values))


def number(name, index):
    """The numbers of an added tensor: a few, by its name."""
    return ((sum(name.encode()) + 7 * index) % 13 - 6) / 16


def reweighted(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save = lambda values, to: save_file({k: v.contiguous() for k, v in values.items()}, to, metadata={"format": "pt"})
    ((kind, value),) = change.items()
    if kind == "cast":
        tensors = {k: v.to({"bf16": torch.bfloat16, "f16": torch.float16, "f64": torch.float64}[value]) for k, v in tensors.items()}
    elif kind == "add":
        for name, shape in value.items():
            count = torch.Size(shape).numel()
            tensors[name] = torch.tensor([number(name, i) for i in range(count)]).reshape(shape)
    elif kind == "remove":
        tensors = {k: v for k, v in tensors.items() if k not in value}
    elif kind == "without_prefix":
        tensors = {k.removeprefix(value): v for k, v in tensors.items()}
    elif kind == "shards":
        if "beside" not in value:
            path.unlink()
        factor = value.get("beside", 1.0)
        names = sorted(tensors)
        files = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
        of = {name: files[i >= 10] for i, name in enumerate(names)}
        for file in files:
            save({k: tensors[k] * factor for k in names if of[k] == file}, folder / file)
        if "more" in value:
            of[value["more"]] = files[1]
        of.pop(value.get("less"), None)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": of}))
        return
    save(tensors, path)


def made(case, folder):
    golden = GOLDEN / case["golden"]
    names = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"]
    for path in [golden / name for name in names] + sorted(golden.glob("model*.safetensors*")):
        if path.exists():
            shutil.copy(path, folder / path.name)
    merged(folder / "config.json", case.get("config", {}))
    merged(folder / "tokenizer_config.json", case.get("tokenizer", {}))
    for name, text in case.get("files", {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode())
    for change in case.get("weights", []):
        reweighted(folder, change)


def answers(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    out = []
    for question in QUESTIONS:
        text = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        new, logprobs, past, last = [], [], None, torch.tensor([prompt])
        with torch.no_grad():
            for _ in range(NEW):
                made = model(input_ids=last, past_key_values=past, use_cache=True)
                past = made.past_key_values
                row = torch.log_softmax(made.logits[0, -1].double(), -1)
                best = int(row.argmax())
                new.append(best)
                logprobs.append(round(row[best].item(), 7))
                last = torch.tensor([[best]])
                if best in ends:
                    break
        out.append({"prompt": prompt, "new": new, "lp": logprobs})
    return out


def main(to, only):
    to.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        if only and name not in only:
            continue
        written = {key: value for key, value in case.items() if value is not SAME}
        if case["mistralrs"] is SAME or case["native"] is SAME:
            with tempfile.TemporaryDirectory() as folder:
                made(case, Path(folder))
                written["answers"] = answers(Path(folder))
        (to / f"{name}.json").write_text(json.dumps(written, ensure_ascii=False) + "\n")
        print(name, written.get("answers", [{"new": "-"}])[0]["new"])


torch.set_num_threads(1)
main(Path(sys.argv[1]), sys.argv[2:])
