//! Keys of `config.json` that mistral.rs reads alike of every model class.

/// Their names.
pub(super) const READ_BY_ALL: [&str; 11] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "quantization_config",
    "tie_word_embeddings",
    "rms_norm_eps",
    "architectures",
];
