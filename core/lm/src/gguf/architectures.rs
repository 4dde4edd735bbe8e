//! What mistral.rs 0.8.1 and the native decoder honour of a GGUF file, by architecture: keys, tensors, and what they need.

use super::header::Kind;
use crate::config;

/// What is known of a key.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// mistral.rs reads it, as this type alone; in another it takes a default without a word.
    Read(Kind),
    /// It is read as a U32, and counts something that is there.
    Size,
    /// It is read as an F32, and is above 0.
    Positive,
    /// How many tokens the model reads.
    Positions,
    /// It follows from the tensors, or describes.
    Told,
    /// It is not read: the value that means nothing.
    Whole(i128),
    Real(f64),
    Flag(bool),
    Text(&'static str),
    /// It is not read: nothing, or no less than the context.
    Window,
    /// It is not read: the context itself.
    Context,
    /// It is not read: the width of a head.
    HeadWidth,
}

use Rule::{
    Context, Flag, HeadWidth, Positions, Positive, Read, Real, Size, Text, Told, Whole, Window,
};

/// Keys of any architecture, behind its name.
pub(super) const SHARED: [(&str, Rule); 34] = [
    ("block_count", Size),
    ("context_length", Positions),
    ("embedding_length", Size),
    ("feed_forward_length", Told),
    ("vocab_size", Told),
    ("attention.head_count", Size),
    ("attention.head_count_kv", Size),
    ("tensor_data_layout", Told),
    ("rope.dimension_count", HeadWidth),
    ("rope.scaling.type", Text("none")),
    ("rope.scaling.factor", Real(1.0)),
    ("rope.scale_linear", Real(1.0)),
    ("rope.scaling.attn_factor", Real(1.0)),
    ("rope.scaling.original_context_length", Context),
    ("rope.scaling.finetuned", Flag(false)),
    ("attention.sliding_window", Window),
    ("attention.causal", Flag(true)),
    ("attention.clamp_kqv", Real(0.0)),
    ("attention.max_alibi_bias", Real(0.0)),
    ("attention.temperature_scale", Real(0.0)),
    ("attn_logit_softcapping", Real(0.0)),
    ("final_logit_softcapping", Real(0.0)),
    ("logit_scale", Real(1.0)),
    ("residual_scale", Real(1.0)),
    ("embedding_scale", Real(1.0)),
    ("use_parallel_residual", Flag(false)),
    ("pooling_type", Whole(0)),
    ("expert_count", Whole(0)),
    ("expert_used_count", Whole(0)),
    ("expert_shared_count", Whole(0)),
    ("expert_weights_scale", Real(1.0)),
    ("expert_gating_func", Whole(1)),
    ("leading_dense_block_count", Whole(0)),
    ("nextn_predict_layers", Whole(0)),
];

/// An architecture that mistral.rs runs from GGUF files.
pub(super) struct Architecture {
    pub(super) name: &'static str,
    /// Keys that differ from the shared ones.
    pub(super) keys: &'static [(&'static str, Rule)],
    /// Keys without which it does not load, beside those that all need.
    pub(super) needs: &'static [&'static str],
    /// Tensors of every layer that have to be there.
    pub(super) layer: &'static [&'static str],
    /// Tensors of a layer that may be there.
    pub(super) may: &'static [&'static str],
    /// Tensors beside the layers.
    pub(super) whole: &'static [&'static str],
    /// Whether the head may be the embedding.
    pub(super) tied: bool,
}

pub(super) const NEEDED: [&str; 5] = [
    "block_count",
    "context_length",
    "embedding_length",
    "attention.head_count",
    "attention.head_count_kv",
];
const RMS: (&str, Rule) = ("attention.layer_norm_rms_epsilon", Positive);
const BASE: (&str, Rule) = ("rope.freq_base", Positive);
const KEY_WIDTH: (&str, Rule) = ("attention.key_length", Size);
const VALUE_WIDTH: (&str, Rule) = ("attention.value_length", Size);
const EMBEDDING: &[&str] = &["token_embd.weight", "output_norm.weight"];
pub(super) const ATTENTION: [&str; 5] = [
    "attn_norm.weight",
    "attn_q.weight",
    "attn_k.weight",
    "attn_v.weight",
    "attn_output.weight",
];

pub(super) const ARCHITECTURES: [Architecture; 8] = [
    Architecture {
        name: "llama",
        keys: &[
            RMS,
            BASE,
            KEY_WIDTH,
            VALUE_WIDTH,
            ("expert_count", Read(Kind::U32)),
            ("expert_used_count", Read(Kind::U32)),
        ],
        needs: &["rope.dimension_count", "attention.layer_norm_rms_epsilon"],
        layer: &["ffn_norm.weight"],
        // And the MLP or the experts: `in_llama_mlp`.
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "mistral3",
        keys: &[RMS, BASE, KEY_WIDTH, VALUE_WIDTH],
        needs: &["rope.dimension_count", "attention.layer_norm_rms_epsilon"],
        layer: &[
            "ffn_norm.weight",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "phi2",
        // The converters write `attention.layer_norm_epsilon`, which mistral.rs does not look for.
        keys: &[
            RMS,
            ("rope.dimension_count", Size),
            ("rope.freq_base", Real(10000.0)),
        ],
        needs: &["rope.dimension_count", "attention.layer_norm_rms_epsilon"],
        layer: &[
            "attn_norm.bias",
            "attn_qkv.weight",
            "attn_qkv.bias",
            "attn_output.bias",
            "ffn_up.weight",
            "ffn_up.bias",
            "ffn_down.weight",
            "ffn_down.bias",
        ],
        may: &[],
        whole: &[
            "token_embd.weight",
            "output_norm.weight",
            "output_norm.bias",
            "output.bias",
        ],
        tied: false,
    },
    Architecture {
        name: "phi3",
        keys: &[
            RMS,
            ("feed_forward_length", Size),
            ("rope.freq_base", Real(10000.0)),
        ],
        needs: &[
            "rope.dimension_count",
            "attention.layer_norm_rms_epsilon",
            "feed_forward_length",
        ],
        layer: &[
            "attn_qkv.weight",
            "ffn_norm.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: false,
    },
    Architecture {
        name: "qwen2",
        keys: &[RMS, BASE, KEY_WIDTH, VALUE_WIDTH],
        needs: &["attention.layer_norm_rms_epsilon"],
        layer: &[
            "ffn_norm.weight",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &["attn_q.bias", "attn_k.bias", "attn_v.bias"],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "qwen3",
        keys: &[RMS, BASE, KEY_WIDTH, VALUE_WIDTH],
        needs: &["attention.layer_norm_rms_epsilon"],
        layer: &[
            "attn_q_norm.weight",
            "attn_k_norm.weight",
            "ffn_norm.weight",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "qwen3moe",
        keys: &[
            RMS,
            BASE,
            KEY_WIDTH,
            VALUE_WIDTH,
            ("expert_count", Size),
            ("expert_used_count", Size),
            ("expert_feed_forward_length", Size),
            ("expert_weights_norm", Flag(true)),
        ],
        needs: &[
            "attention.layer_norm_rms_epsilon",
            "expert_count",
            "expert_used_count",
            "expert_feed_forward_length",
        ],
        layer: &[
            "attn_q_norm.weight",
            "attn_k_norm.weight",
            "ffn_norm.weight",
            "ffn_gate_inp.weight",
            "ffn_gate_exps.weight",
            "ffn_up_exps.weight",
            "ffn_down_exps.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "starcoder2",
        keys: &[("attention.layer_norm_epsilon", Positive), BASE],
        // Without it mistral.rs takes 100,000, and llama.cpp 10,000.
        needs: &["attention.layer_norm_epsilon", "rope.freq_base"],
        layer: &[
            "attn_norm.bias",
            "attn_q.bias",
            "attn_k.bias",
            "attn_v.bias",
            "attn_output.bias",
            "ffn_norm.weight",
            "ffn_norm.bias",
            "ffn_up.weight",
            "ffn_up.bias",
            "ffn_down.weight",
            "ffn_down.bias",
        ],
        may: &[],
        whole: &[
            "token_embd.weight",
            "output_norm.weight",
            "output_norm.bias",
        ],
        tied: false,
    },
];

/// The family of an architecture that our own decoder computes.
pub(super) fn family(architecture: &str) -> Option<config::Architecture> {
    match architecture {
        "llama" => Some(config::Architecture::Llama),
        "qwen2" => Some(config::Architecture::Qwen2),
        "qwen3" => Some(config::Architecture::Qwen3),
        _ => None,
    }
}
