//! Names of tensors that several model classes share: `#` stands for a number, and `?` before those that some models or layers lack.

pub(super) const TABLES: &[&str] = &[
    "model.embed_tokens.weight",
    "?lm_head.weight",
    "model.norm.weight",
];
pub(super) const NORMS: &[&str] = &[
    "model.layers.#.input_layernorm.weight",
    "model.layers.#.post_attention_layernorm.weight",
];
pub(super) const QKVO: &[&str] = &[
    "model.layers.#.self_attn.q_proj.weight",
    "model.layers.#.self_attn.k_proj.weight",
    "model.layers.#.self_attn.v_proj.weight",
    "model.layers.#.self_attn.o_proj.weight",
];
pub(super) const QKV_BIASES: &[&str] = &[
    "?model.layers.#.self_attn.q_proj.bias",
    "?model.layers.#.self_attn.k_proj.bias",
    "?model.layers.#.self_attn.v_proj.bias",
];
pub(super) const OUTPUT_BIAS: &[&str] = &["?model.layers.#.self_attn.o_proj.bias"];
pub(super) const QK_NORMS: &[&str] = &[
    "?model.layers.#.self_attn.q_norm.weight",
    "?model.layers.#.self_attn.k_norm.weight",
];
pub(super) const GATED: &[&str] = &[
    "?model.layers.#.mlp.gate_proj.weight",
    "?model.layers.#.mlp.up_proj.weight",
    "?model.layers.#.mlp.down_proj.weight",
];
pub(super) const FUSED_MLP: &[&str] = &[
    "model.layers.#.mlp.gate_up_proj.weight",
    "model.layers.#.mlp.down_proj.weight",
];
pub(super) const EXPERTS: &[&str] = &[
    "?model.layers.#.mlp.gate.weight",
    "?model.layers.#.mlp.experts.#.gate_proj.weight",
    "?model.layers.#.mlp.experts.#.up_proj.weight",
    "?model.layers.#.mlp.experts.#.down_proj.weight",
];
pub(super) const SHARED_EXPERTS: &[&str] = &[
    "?model.layers.#.mlp.gate.e_score_correction_bias",
    "?model.layers.#.mlp.shared_experts.gate_proj.weight",
    "?model.layers.#.mlp.shared_experts.up_proj.weight",
    "?model.layers.#.mlp.shared_experts.down_proj.weight",
];
pub(super) const MIXTRAL_EXPERTS: &[&str] = &[
    "model.layers.#.block_sparse_moe.gate.weight",
    "model.layers.#.block_sparse_moe.experts.#.w1.weight",
    "model.layers.#.block_sparse_moe.experts.#.w2.weight",
    "model.layers.#.block_sparse_moe.experts.#.w3.weight",
];
pub(super) const NORM_BIASES: &[&str] = &[
    "model.norm.bias",
    "model.layers.#.input_layernorm.bias",
    "model.layers.#.post_attention_layernorm.bias",
];
