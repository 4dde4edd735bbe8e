//! Keys of other tools whose names are not ours: Axolotl, TRL and transformers, PEFT, lm-evaluation-harness, promptfoo, servers.

/// A key of another tool.
pub(crate) struct Theirs {
    /// Its name there.
    pub(crate) name: &'static str,
    /// The key of ours that says the same, in the same place.
    pub(crate) ours: &'static str,
    /// How it is written here, where the value is another one too.
    pub(crate) written: Option<&'static str>,
}

const fn same(name: &'static str, ours: &'static str) -> Theirs {
    Theirs {
        name,
        ours,
        written: None,
    }
}

const fn other(name: &'static str, ours: &'static str, written: &'static str) -> Theirs {
    Theirs {
        name,
        ours,
        written: Some(written),
    }
}

/// The key of ours that stands for `name` where `expected` are possible.
pub(crate) fn ours(name: &str, expected: &[String]) -> Option<&'static Theirs> {
    let folded = name.to_ascii_lowercase();
    let mut known = OTHER_TOOLS.iter();
    known.find(|theirs| theirs.name == folded && expected.iter().any(|key| key == theirs.ours))
}

const OTHER_TOOLS: &[Theirs] = &[
    // Axolotl, TRL and transformers: trainings.
    same("micro_batch_size", "per_device_batch_size"),
    same("per_device_train_batch_size", "per_device_batch_size"),
    same("train_batch_size", "per_device_batch_size"),
    same("batch_size", "per_device_batch_size"),
    same("num_train_epochs", "epochs"),
    same("num_epochs", "epochs"),
    same("max_train_steps", "max_steps"),
    same("num_steps", "max_steps"),
    same("lr", "learning_rate"),
    same("lr_scheduler_type", "lr_scheduler"),
    same("scheduler", "lr_scheduler"),
    same("optim", "optimizer"),
    same("sequence_len", "max_seq_length"),
    same("max_length", "max_seq_length"),
    same("max_seq_len", "max_seq_length"),
    same("cutoff_len", "max_seq_length"),
    same("sample_packing", "packing"),
    same("val_set_size", "eval_fraction"),
    same("gradient_clipping", "max_grad_norm"),
    same("adam_eps", "adam_epsilon"),
    same("grad_accum_steps", "gradient_accumulation_steps"),
    same("gradient_accumulation", "gradient_accumulation_steps"),
    other("warmup", "warmup_steps", "warmup_steps: 10"),
    other("train_on_inputs", "train_on", "train_on: all"),
    other("completion_only_loss", "train_on", "train_on: responses"),
    other("assistant_only_loss", "train_on", "train_on: responses"),
    other("bf16", "dtype", "dtype: bf16"),
    other("fp16", "dtype", "dtype: f16"),
    other("fp32", "dtype", "dtype: f32"),
    same("torch_dtype", "dtype"),
    other(
        "load_in_4bit",
        "base_quantization",
        "base_quantization: q4k",
    ),
    other(
        "load_in_8bit",
        "base_quantization",
        "base_quantization: q8_0",
    ),
    other("save_strategy", "save_steps", "save_steps: 100"),
    other("eval_strategy", "eval_steps", "eval_steps: 100"),
    other("evaluation_strategy", "eval_steps", "eval_steps: 100"),
    // PEFT.
    other("lora_r", "lora", "lora: {rank: 8}"),
    other("lora_rank", "lora", "lora: {rank: 8}"),
    other("r", "lora", "lora: {rank: 8}"),
    other("lora_alpha", "lora", "lora: {alpha: 16}"),
    other("lora_dropout", "lora", "lora: {dropout: 0.05}"),
    other(
        "lora_target_modules",
        "lora",
        "lora: {target_modules: [q_proj, v_proj]}",
    ),
    other(
        "lora_target_linear",
        "lora",
        "lora: {target_modules: all-linear}",
    ),
    other(
        "target_modules",
        "lora",
        "lora: {target_modules: [q_proj, v_proj]}",
    ),
    other("peft_config", "lora", "lora: {rank: 8}"),
    same("r", "rank"),
    same("lora_r", "rank"),
    same("lora_alpha", "alpha"),
    same("lora_dropout", "dropout"),
    same("lora_target_modules", "target_modules"),
    same("use_rslora", "rslora"),
    same("use_dora", "dora"),
    // Generation, there and with servers.
    same("max_new_tokens", "max_tokens"),
    same("max_completion_tokens", "max_tokens"),
    same("max_gen_toks", "max_tokens"),
    same("num_return_sequences", "samples"),
    same("n", "samples"),
    same("repeats", "samples"),
    same("until", "stop"),
    same("stop_sequences", "stop"),
    same("stop_strings", "stop"),
    same("logprobs", "top_logprobs"),
    other("do_sample", "temperature", "temperature: 0"),
    same("api_base", "base_url"),
    same("url", "base_url"),
    same("api_key", "api_key_env"),
    same("max_retries", "retries"),
    // Models and data.
    other("base_model", "hub", "hub: organisation/name"),
    other("model_name_or_path", "path", "path: FOLDER"),
    other("model_name", "hub", "hub: organisation/name"),
    other("model_id", "hub", "hub: organisation/name"),
    other("pretrained", "path", "path: FOLDER"),
    same("dataset_path", "hub"),
    same("dataset_kwargs", "filter"),
    same("test_split", "split"),
    same("validation_split", "split"),
    same("num_samples", "limit"),
    same("max_samples", "limit"),
    same("max_train_samples", "limit"),
    same("torch_type", "dtype"),
    // lm-evaluation-harness.
    other(
        "doc_to_text",
        "prompt",
        "prompt: [{user: \"{{ question }}\"}]",
    ),
    same("doc_to_target", "reference"),
    other(
        "doc_to_choice",
        "score",
        "score: {choices: \"{{ choices }}\", correct: \"{{ answer }}\"}",
    ),
    other(
        "output_type",
        "score",
        "score: {choices: \"{{ choices }}\", correct: \"{{ answer }}\"}",
    ),
    other("metric_list", "metrics", "metrics: [accuracy]"),
    other(
        "num_fewshot",
        "prompt",
        "prompt: [{user: ..}, {assistant: ..}, {user: ..}]",
    ),
    same("generation_kwargs", "generate"),
    same("gen_kwargs", "generate"),
    same("tasks", "evaluations"),
    same("task", "evaluations"),
    // promptfoo.
    same("providers", "models"),
    same("targets", "models"),
    other("prompts", "prompt", "prompt: [{user: \"{{ question }}\"}]"),
    other(
        "prompts",
        "evaluations",
        "evaluations: {ask: {models: [base], dataset: asks, prompt: [...], metrics: [...]}}",
    ),
    other("tests", "datasets", "datasets: {asks: {jsonl: asks.jsonl}}"),
    other("assert", "metrics", "metrics: [truthfulness]"),
    other("messages", "prompt", "prompt: [{user: \"{{ question }}\"}]"),
    other(
        "prompt",
        "messages",
        "messages: [{user: \"{{ question }}\"}, {assistant: \"{{ answer }}\"}]",
    ),
    // Turns.
    other("role", "user", "{user: \"{{ question }}\"}"),
    other("content", "user", "{user: \"{{ question }}\"}"),
    same("human", "user"),
    same("gpt", "assistant"),
    same("bot", "assistant"),
    same("model", "assistant"),
    same("ai", "assistant"),
    same("instruction", "user"),
    same("instructions", "system"),
    same("developer", "system"),
];
