//! What mistral.rs 0.8.1 makes of each model class: the keys of `config.json` that it reads, and the tensors. Taken from its
//! source, and held against transformers with the models of `tests/golden/architectures`.

/// One model class.
pub(super) struct Family {
    /// Its name in `architectures`.
    pub(super) class: &'static str,
    /// Keys that it reads as transformers does, beside those of [`READ_BY_ALL`](super::keys::READ_BY_ALL).
    pub(super) reads: &'static [&'static str],
    /// Keys of which it computes these values alone, in JSON; the first is what transformers takes where the key is absent.
    pub(super) only: &'static [(&'static str, &'static [&'static str])],
    /// Types of rotary scaling.
    pub(super) ropes: &'static [&'static str],
    /// It rotates a part of each head where `partial_rotary_factor` says so; the default of transformers.
    pub(super) partial_rotary: Option<&'static str>,
    /// Where the width of a head comes from.
    pub(super) head_dim: HeadDim,
    /// Defaults of transformers that mistral.rs does not have.
    pub(super) defaults: &'static [(&'static str, &'static str)],
    /// Its layers of experts run on GPUs alone.
    pub(super) needs_gpu: bool,
    /// Names of the tensors, `#` for a number, with `?` before those that some models or layers lack.
    pub(super) tensors: &'static [&'static [&'static str]],
}

/// Where the width of a head comes from.
#[derive(PartialEq)]
pub(super) enum HeadDim {
    /// The key `head_dim`.
    Read,
    /// The hidden size by the number of heads.
    Derived,
}

const TABLES: &[&str] = &[
    "model.embed_tokens.weight",
    "?lm_head.weight",
    "model.norm.weight",
];
const NORMS: &[&str] = &[
    "model.layers.#.input_layernorm.weight",
    "model.layers.#.post_attention_layernorm.weight",
];
const QKVO: &[&str] = &[
    "model.layers.#.self_attn.q_proj.weight",
    "model.layers.#.self_attn.k_proj.weight",
    "model.layers.#.self_attn.v_proj.weight",
    "model.layers.#.self_attn.o_proj.weight",
];
const QKV_BIASES: &[&str] = &[
    "?model.layers.#.self_attn.q_proj.bias",
    "?model.layers.#.self_attn.k_proj.bias",
    "?model.layers.#.self_attn.v_proj.bias",
];
const OUTPUT_BIAS: &[&str] = &["?model.layers.#.self_attn.o_proj.bias"];
const QK_NORMS: &[&str] = &[
    "?model.layers.#.self_attn.q_norm.weight",
    "?model.layers.#.self_attn.k_norm.weight",
];
const GATED: &[&str] = &[
    "?model.layers.#.mlp.gate_proj.weight",
    "?model.layers.#.mlp.up_proj.weight",
    "?model.layers.#.mlp.down_proj.weight",
];
const FUSED_MLP: &[&str] = &[
    "model.layers.#.mlp.gate_up_proj.weight",
    "model.layers.#.mlp.down_proj.weight",
];
const EXPERTS: &[&str] = &[
    "?model.layers.#.mlp.gate.weight",
    "?model.layers.#.mlp.experts.#.gate_proj.weight",
    "?model.layers.#.mlp.experts.#.up_proj.weight",
    "?model.layers.#.mlp.experts.#.down_proj.weight",
];
const SHARED_EXPERTS: &[&str] = &[
    "?model.layers.#.mlp.gate.e_score_correction_bias",
    "?model.layers.#.mlp.shared_experts.gate_proj.weight",
    "?model.layers.#.mlp.shared_experts.up_proj.weight",
    "?model.layers.#.mlp.shared_experts.down_proj.weight",
];
const MIXTRAL_EXPERTS: &[&str] = &[
    "model.layers.#.block_sparse_moe.gate.weight",
    "model.layers.#.block_sparse_moe.experts.#.w1.weight",
    "model.layers.#.block_sparse_moe.experts.#.w2.weight",
    "model.layers.#.block_sparse_moe.experts.#.w3.weight",
];
const NORM_BIASES: &[&str] = &[
    "model.norm.bias",
    "model.layers.#.input_layernorm.bias",
    "model.layers.#.post_attention_layernorm.bias",
];
const SILU: (&str, &[&str]) = ("hidden_act", &["\"silu\"", "\"swish\""]);
const NO_BIAS: (&str, &[&str]) = ("attention_bias", &["false"]);
const TIED: (&str, &[&str]) = ("tie_word_embeddings", &["true"]);
const UNTIED: (&str, &str) = ("tie_word_embeddings", "false");
const THETA: (&str, &str) = ("rope_theta", "10000.0");

/// All of them, by name. Of the classes that mistral.rs knows these are left out: DeepseekV2, DeepseekV3, Glm4MoeLite and Phi,
/// which do not run on a CPU with heads as wide as theirs are, PhiMoE, which gives other numbers than transformers, and
/// GraniteMoeHybrid, whose configurations have other layer types in transformers.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        class: "Gemma2ForCausalLM",
        reads: &[
            "attn_logit_softcapping",
            "final_logit_softcapping",
            "query_pre_attn_scalar",
            "sliding_window",
            "hidden_act",
        ],
        only: &[
            ("hidden_activation", &["\"gelu_pytorch_tanh\""]),
            TIED,
            NO_BIAS,
        ],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Read,
        defaults: &[
            THETA,
            ("head_dim", "256"),
            ("sliding_window", "4096"),
            ("query_pre_attn_scalar", "256"),
            ("attn_logit_softcapping", "50.0"),
            ("final_logit_softcapping", "30.0"),
            ("attention_bias", "false"),
        ],
        needs_gpu: false,
        tensors: &[
            TABLES,
            NORMS,
            &[
                "model.layers.#.pre_feedforward_layernorm.weight",
                "model.layers.#.post_feedforward_layernorm.weight",
            ],
            QKVO,
            GATED,
        ],
    },
    Family {
        class: "GemmaForCausalLM",
        reads: &[],
        only: &[
            (
                "hidden_act",
                &["\"gelu_pytorch_tanh\"", "\"gelu\"", "\"gelu_new\""],
            ),
            ("hidden_activation", &["\"gelu_pytorch_tanh\""]),
            TIED,
            NO_BIAS,
        ],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Read,
        defaults: &[
            THETA,
            ("head_dim", "256"),
            ("max_position_embeddings", "8192"),
            ("attention_bias", "false"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, GATED],
    },
    Family {
        class: "Glm4ForCausalLM",
        reads: &["attention_bias"],
        only: &[SILU],
        ropes: &["default"],
        partial_rotary: Some("0.5"),
        head_dim: HeadDim::Read,
        defaults: &[
            THETA,
            UNTIED,
            ("head_dim", "128"),
            ("attention_bias", "true"),
            ("rms_norm_eps", "1.5625e-7"),
            ("max_position_embeddings", "131072"),
        ],
        needs_gpu: false,
        tensors: &[
            TABLES,
            NORMS,
            &[
                "model.layers.#.post_self_attn_layernorm.weight",
                "model.layers.#.post_mlp_layernorm.weight",
            ],
            QKVO,
            QKV_BIASES,
            FUSED_MLP,
        ],
    },
    Family {
        class: "Glm4MoeForCausalLM",
        reads: &[
            "attention_bias",
            "first_k_dense_replace",
            "moe_intermediate_size",
            "n_group",
            "n_routed_experts",
            "n_shared_experts",
            "num_experts_per_tok",
            "routed_scaling_factor",
            "topk_group",
            "use_qk_norm",
            "num_local_experts",
            "num_nextn_predict_layers",
        ],
        only: &[SILU, ("norm_topk_prob", &["true"])],
        ropes: &["default"],
        partial_rotary: Some("0.5"),
        head_dim: HeadDim::Read,
        defaults: &[THETA, UNTIED],
        needs_gpu: true,
        tensors: &[
            TABLES,
            NORMS,
            QKVO,
            QKV_BIASES,
            QK_NORMS,
            GATED,
            EXPERTS,
            SHARED_EXPERTS,
        ],
    },
    Family {
        class: "GptOssForCausalLM",
        reads: &[
            "attention_bias",
            "layer_types",
            "num_experts_per_tok",
            "num_local_experts",
            "sliding_window",
            "swiglu_limit",
            "initial_context_length",
            "experts_per_token",
        ],
        only: &[SILU, ("swiglu_alpha", &["1.702"])],
        ropes: &["yarn"],
        partial_rotary: None,
        head_dim: HeadDim::Read,
        defaults: &[("rope_theta", "150000.0"), UNTIED, ("head_dim", "64")],
        needs_gpu: true,
        tensors: &[
            TABLES,
            NORMS,
            QKVO,
            QKV_BIASES,
            OUTPUT_BIAS,
            &[
                "model.layers.#.self_attn.sinks",
                "model.layers.#.mlp.router.weight",
                "model.layers.#.mlp.router.bias",
                "?model.layers.#.mlp.experts.gate_up_proj",
                "?model.layers.#.mlp.experts.gate_up_proj_bias",
                "?model.layers.#.mlp.experts.gate_up_proj_blocks",
                "?model.layers.#.mlp.experts.gate_up_proj_scales",
                "?model.layers.#.mlp.experts.down_proj",
                "?model.layers.#.mlp.experts.down_proj_bias",
                "?model.layers.#.mlp.experts.down_proj_blocks",
                "?model.layers.#.mlp.experts.down_proj_scales",
            ],
        ],
    },
    Family {
        class: "LlamaForCausalLM",
        reads: &[],
        only: &[SILU, NO_BIAS, ("mlp_bias", &["false"])],
        ropes: &["default", "llama3", "linear"],
        partial_rotary: None,
        head_dim: HeadDim::Derived,
        defaults: &[
            THETA,
            UNTIED,
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "2048"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, GATED],
    },
    Family {
        class: "MistralForCausalLM",
        reads: &["sliding_window"],
        only: &[SILU],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Read,
        defaults: &[
            THETA,
            UNTIED,
            ("num_key_value_heads", "8"),
            ("sliding_window", "4096"),
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "131072"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, GATED],
    },
    Family {
        class: "MixtralForCausalLM",
        reads: &["sliding_window", "num_experts_per_tok", "num_local_experts"],
        only: &[SILU],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Derived,
        defaults: &[
            ("rope_theta", "1000000.0"),
            UNTIED,
            ("num_key_value_heads", "8"),
            ("num_local_experts", "8"),
            ("num_experts_per_tok", "2"),
            ("rms_norm_eps", "1e-5"),
            ("max_position_embeddings", "131072"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, MIXTRAL_EXPERTS],
    },
    Family {
        class: "Phi3ForCausalLM",
        reads: &["sliding_window", "original_max_position_embeddings"],
        only: &[SILU, NO_BIAS],
        ropes: &["default", "longrope", "su"],
        partial_rotary: Some("1.0"),
        head_dim: HeadDim::Derived,
        defaults: &[
            THETA,
            UNTIED,
            ("rms_norm_eps", "1e-5"),
            ("max_position_embeddings", "4096"),
            ("original_max_position_embeddings", "4096"),
        ],
        needs_gpu: false,
        tensors: &[
            TABLES,
            NORMS,
            &[
                "model.layers.#.self_attn.qkv_proj.weight",
                "model.layers.#.self_attn.o_proj.weight",
            ],
            FUSED_MLP,
        ],
    },
    Family {
        class: "Qwen2ForCausalLM",
        reads: &["sliding_window"],
        only: &[SILU],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Derived,
        defaults: &[
            THETA,
            UNTIED,
            ("num_key_value_heads", "32"),
            ("sliding_window", "4096"),
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "32768"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, QKV_BIASES, GATED],
    },
    Family {
        class: "Qwen3ForCausalLM",
        reads: &["sliding_window"],
        only: &[SILU, NO_BIAS],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Read,
        defaults: &[
            THETA,
            UNTIED,
            ("num_key_value_heads", "32"),
            ("head_dim", "128"),
            ("sliding_window", "4096"),
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "32768"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, QK_NORMS, GATED],
    },
    Family {
        class: "Qwen3MoeForCausalLM",
        reads: &[
            "sliding_window",
            "decoder_sparse_step",
            "mlp_only_layers",
            "moe_intermediate_size",
            "norm_topk_prob",
            "num_experts",
            "num_experts_per_tok",
        ],
        only: &[SILU, NO_BIAS],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Read,
        defaults: &[
            THETA,
            UNTIED,
            ("num_key_value_heads", "4"),
            ("sliding_window", "4096"),
            ("decoder_sparse_step", "1"),
            ("mlp_only_layers", "[]"),
            ("moe_intermediate_size", "768"),
            ("norm_topk_prob", "false"),
            ("num_experts", "128"),
            ("num_experts_per_tok", "8"),
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "32768"),
        ],
        needs_gpu: true,
        tensors: &[TABLES, NORMS, QKVO, QK_NORMS, GATED, EXPERTS],
    },
    Family {
        class: "Qwen3NextForCausalLM",
        reads: &[
            "decoder_sparse_step",
            "linear_conv_kernel_dim",
            "linear_key_head_dim",
            "linear_num_key_heads",
            "linear_num_value_heads",
            "linear_value_head_dim",
            "mlp_only_layers",
            "moe_intermediate_size",
            "norm_topk_prob",
            "num_experts",
            "num_experts_per_tok",
            "shared_expert_intermediate_size",
            "full_attention_interval",
            "layer_types",
        ],
        only: &[SILU, NO_BIAS],
        ropes: &["default"],
        partial_rotary: Some("0.25"),
        head_dim: HeadDim::Read,
        defaults: &[THETA, UNTIED, ("head_dim", "256")],
        needs_gpu: true,
        tensors: &[
            TABLES,
            NORMS,
            GATED,
            EXPERTS,
            QK_NORMS,
            &[
                "?model.layers.#.self_attn.q_proj.weight",
                "?model.layers.#.self_attn.k_proj.weight",
                "?model.layers.#.self_attn.v_proj.weight",
                "?model.layers.#.self_attn.o_proj.weight",
                "?model.layers.#.linear_attn.A_log",
                "?model.layers.#.linear_attn.conv1d.weight",
                "?model.layers.#.linear_attn.dt_bias",
                "?model.layers.#.linear_attn.in_proj_ba.weight",
                "?model.layers.#.linear_attn.in_proj_qkvz.weight",
                "?model.layers.#.linear_attn.norm.weight",
                "?model.layers.#.linear_attn.out_proj.weight",
                "?model.layers.#.mlp.shared_expert.gate_proj.weight",
                "?model.layers.#.mlp.shared_expert.up_proj.weight",
                "?model.layers.#.mlp.shared_expert.down_proj.weight",
                "?model.layers.#.mlp.shared_expert_gate.weight",
            ],
        ],
    },
    Family {
        class: "SmolLM3ForCausalLM",
        reads: &["sliding_window", "no_rope_layers", "no_rope_layer_interval"],
        only: &[SILU, NO_BIAS, ("mlp_bias", &["false"])],
        ropes: &["default", "llama3", "linear"],
        partial_rotary: None,
        head_dim: HeadDim::Derived,
        defaults: &[
            ("rope_theta", "2000000.0"),
            ("tie_word_embeddings", "true"),
            ("num_key_value_heads", "4"),
            ("no_rope_layer_interval", "4"),
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "32768"),
        ],
        needs_gpu: false,
        tensors: &[TABLES, NORMS, QKVO, GATED],
    },
    Family {
        class: "Starcoder2ForCausalLM",
        reads: &["sliding_window", "norm_epsilon", "use_bias"],
        only: &[
            (
                "hidden_act",
                &["\"gelu_pytorch_tanh\"", "\"gelu_new\"", "\"gelu\""],
            ),
            TIED,
            ("mlp_type", &["\"default\""]),
            ("norm_type", &["\"layer_norm\""]),
        ],
        ropes: &["default"],
        partial_rotary: None,
        head_dim: HeadDim::Derived,
        defaults: &[
            THETA,
            ("norm_epsilon", "1e-5"),
            ("use_bias", "true"),
            ("num_key_value_heads", "2"),
        ],
        needs_gpu: false,
        tensors: &[
            TABLES,
            NORMS,
            NORM_BIASES,
            QKVO,
            QKV_BIASES,
            OUTPUT_BIAS,
            &[
                "model.layers.#.mlp.c_fc.weight",
                "?model.layers.#.mlp.c_fc.bias",
                "model.layers.#.mlp.c_proj.weight",
                "?model.layers.#.mlp.c_proj.bias",
            ],
        ],
    },
];
