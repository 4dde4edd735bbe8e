//! The tables, one for each part of the language.

use crate::{End, Range, Table};

/// Where a count has no limit of its own: more than any file has rows, and still exact in a float.
pub const COUNTLESS: u64 = 1_000_000_000_000;

/// Rows, steps, tokens: at least one.
const COUNT: Range = Range::whole(1, COUNTLESS);
/// New tokens of an answer. More than any model's context.
const TOKENS: Range = Range::whole(1, 100_000_000);
/// A year, so that no clock overflows.
const SECONDS: Range = Range::whole(1, 31_536_000);
/// What a worker may take; a longer wait is a number of milliseconds, most likely.
const DAY: Range = Range::whole(1, 86_400);
const SEED: Range = Range::whole(0, u64::MAX);
/// Never 0: what takes nothing in is a mistake.
const POSITIVE_SHARE: Range = Range::above(0.0, 1.0);
const FINITE: Range = Range::real(-f64::MAX, f64::MAX);
const NOT_NEGATIVE: Range = Range::real(0.0, f64::MAX);

/// What an answer begins with.
pub const PREFILL: Table = &[("tokens", Range::whole(0, 1_000_000))];

/// The spec itself.
pub const EXPERIMENT: Table = &[("seed", SEED), ("max_cells", Range::whole(1, 1_000_000))];

/// Settings of a training.
pub const TRAINING: Table = &[
    ("learning_rate", Range::above(0.0, 10_000.0)),
    ("warmup_steps", Range::whole(0, COUNTLESS)),
    ("warmup_ratio", Range::below(0.0, 1.0)),
    ("max_steps", COUNT),
    ("epochs", Range::above(0.0, 1e6)),
    ("per_device_batch_size", Range::whole(1, 1_000_000)),
    ("gradient_accumulation_steps", Range::whole(1, 1_000_000)),
    ("adam_beta1", Range::below(0.0, 1.0)),
    ("adam_beta2", Range::below(0.0, 1.0)),
    // 0 divides by nothing, and below it a training goes backwards.
    ("adam_epsilon", Range::above(0.0, 1.0)),
    ("weight_decay", Range::real(0.0, 100.0)),
    ("max_grad_norm", NOT_NEGATIVE),
    // Two tokens are the least of which one follows another.
    ("max_seq_length", Range::whole(2, 100_000_000)),
    ("save_steps", COUNT),
    ("eval_fraction", Range::above(0.0, 0.5)),
    ("eval_steps", COUNT),
    ("seed", SEED),
];

/// Low-rank adapters.
pub const LORA: Table = &[
    ("rank", Range::whole(1, 65_536)),
    // 0 trains nothing, and below it the adapter is taken away.
    ("alpha", Range::above(0.0, 1e6)),
    ("dropout", Range::below(0.0, 1.0)),
    // Of certain modules.
    ("rank_pattern", Range::whole(1, 65_536)),
    ("alpha_pattern", Range::above(0.0, 1e6)),
];

/// Shape of a model that is trained from nothing.
pub const ARCHITECTURE: Table = &[
    ("hidden_size", Range::whole(2, 1_000_000)),
    ("intermediate_size", Range::whole(1, 10_000_000)),
    ("num_hidden_layers", Range::whole(1, 10_000)),
    ("num_attention_heads", Range::whole(1, 100_000)),
    ("num_key_value_heads", Range::whole(1, 100_000)),
    // 256 bytes and five special tokens.
    ("vocab_size", Range::whole(261, 100_000_000)),
    ("max_position_embeddings", Range::whole(2, 100_000_000)),
    ("rope_theta", Range::real(1.0, 1e12)),
];

/// Initial weights, which only the trainer's own settings name.
pub const INITIAL_WEIGHTS: Table = &[("initializer_range", Range::above(0.0, 10.0))];

/// Data of a training.
pub const TRAINING_DATA: Table = &[("limit", COUNT), ("seed", SEED)];

/// Data of a fine-tune, and how far it goes.
pub const FINETUNE_DATA: Table = &[("limit", COUNT), ("seed", SEED), ("checkpoint", COUNT)];

/// Further data of a training.
pub const MIX: Table = &[("count", COUNT), ("ratio", Range::above(0.0, 1e6))];

/// A dataset.
pub const DATASET: Table = &[("limit", COUNT)];

/// Examples before a prompt.
pub const EXAMPLES: Table = &[("count", Range::whole(1, 10_000)), ("seed", SEED)];

/// A shuffle.
pub const SHUFFLE: Table = &[("seed", SEED)];

/// A server.
pub const ENDPOINT: Table = &[
    ("concurrency", Range::whole(1, 10_000)),
    ("requests_per_minute", Range::whole(1, 1_000_000_000)),
    ("timeout", SECONDS),
    ("retries", Range::whole(0, 1000)),
];

/// A metric.
pub const METRIC: Table = &[("timeout", DAY), ("total_timeout", DAY)];

/// An evaluation.
pub const EVALUATION: Table = &[
    // An accuracy, or a loss.
    ("capability_floor", Range::real(0.0, 1000.0)),
    ("shuffle_seed", SEED),
];

/// How completions are made.
pub const GENERATE: Table = &[
    ("max_tokens", TOKENS),
    ("temperature", Range::real(0.0, 100.0)),
    // 0 keeps no token at all.
    ("top_p", POSITIVE_SHARE),
    ("top_k", Range::whole(1, 100_000_000)),
    ("min_p", Range::real(0.0, 1.0)),
    ("seed", SEED),
    ("samples", Range::whole(1, 1_000_000)),
    ("top_logprobs", Range::whole(1, 1000)),
];

/// A judge that is asked.
pub const JUDGE: Table = &[
    ("max_tokens", TOKENS),
    // At 0 every answer is unsafe.
    ("threshold", POSITIVE_SHARE),
];

/// The scale of a judge that gives scores.
pub const PARSE: Table = &[
    ("score", Range::real(-1e6, 1e6)),
    ("unsafe_from", Range::real(-1e6, 1e6)),
];

/// How models are compared.
pub const COMPARE: Table = &[
    ("level", Range::real(0.5, 0.9999)),
    // Of fewer, none lies beyond a bound at level 0.95; more place no bound better, and take long.
    ("resamples", Range::whole(40, 1_000_000)),
];

/// Limits of a gate. What they may be of a certain number, its metric knows.
pub const GATE: Table = &[
    ("upper", FINITE),
    ("lower", FINITE),
    ("drop", NOT_NEGATIVE),
    ("rise", NOT_NEGATIVE),
];

/// Limits on what is searched for.
pub const BOUND: Table = GATE;

/// Successive halving: a share that keeps all or none goes on with nothing else.
pub const HALVING: Table = &[(
    "keep",
    Range::Real {
        low: End::Open(0.0),
        high: End::Open(1.0),
    },
)];

/// A published value.
pub const EXPECTED: Table = &[("value", FINITE), ("tolerance", NOT_NEGATIVE)];

/// Every table, by the part of the language it belongs to.
pub const ALL: &[(&str, Table)] = &[
    ("experiment", EXPERIMENT),
    ("prefill", PREFILL),
    ("training", TRAINING),
    ("lora", LORA),
    ("architecture", ARCHITECTURE),
    ("initial_weights", INITIAL_WEIGHTS),
    ("training_data", TRAINING_DATA),
    ("finetune_data", FINETUNE_DATA),
    ("mix", MIX),
    ("dataset", DATASET),
    ("examples", EXAMPLES),
    ("shuffle", SHUFFLE),
    ("endpoint", ENDPOINT),
    ("metric", METRIC),
    ("evaluation", EVALUATION),
    ("generate", GENERATE),
    ("judge", JUDGE),
    ("parse", PARSE),
    ("compare", COMPARE),
    ("gate", GATE),
    ("bound", BOUND),
    ("halving", HALVING),
    ("expected", EXPECTED),
];
