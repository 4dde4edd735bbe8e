//! The shapes that the tensors of a file have to have, told from its keys: mistral.rs, which takes them for granted, fails late
//! with others, or computes something else.

use super::header::Header;

/// The sizes that shapes are made of.
struct Sizes {
    hidden: u64,
    vocabulary: u64,
    /// Width of all heads together: of queries, keys and values, and of what is attended to.
    queries: u64,
    keys: u64,
    values: u64,
    attended: u64,
    /// Of one head of keys.
    head: u64,
    /// Inside the MLP, and inside an expert.
    inner: u64,
    expert: u64,
    experts: u64,
    /// How many matrices of the MLP are one.
    fused: u64,
}

/// Whether every tensor that mistral.rs reads has the shape that the keys of the file ask for.
///
/// # Errors
/// With the first that has another one, and with keys that fit no shape.
pub(super) fn check(header: &Header, architecture: &str) -> Result<(), String> {
    let sizes = Sizes::of(header, architecture)?;
    for (name, tensor) in &header.tensors {
        let Some(wanted) = sizes.of_tensor(name) else {
            continue;
        };
        if tensor.shape != wanted {
            return Err(format!(
                "the tensor `{name}` has shape {:?}, and the keys of the file ask for {wanted:?}",
                tensor.shape
            ));
        }
    }
    Ok(())
}

impl Sizes {
    fn of(header: &Header, architecture: &str) -> Result<Self, String> {
        let whole = |key: &str| {
            let value = header.whole(&format!("{architecture}.{key}"));
            value.and_then(|number| u64::try_from(number).ok())
        };
        let needed = |key: &str| {
            whole(key)
                .filter(|&size| size > 0)
                .ok_or_else(|| format!("`{architecture}.{key}` is missing or counts nothing"))
        };
        let (hidden, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
        let key_heads = needed("attention.head_count_kv")?;
        if !heads.is_multiple_of(key_heads) {
            return Err(format!(
                "`{architecture}.attention.head_count: {heads}` is no multiple of `{architecture}.attention.head_count_kv: {key_heads}`"
            ));
        }
        let head = match whole("attention.key_length") {
            Some(width) => width,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                return Err(format!(
                    "`{architecture}.embedding_length: {hidden}` is no multiple of `{architecture}.attention.head_count: {heads}`"
                ));
            }
        };
        let value_head = whole("attention.value_length").unwrap_or(head);
        let columns = |name: &str| -> Option<u64> {
            let shape = &header.tensors.get(name)?.shape;
            shape.last().copied()
        };
        let fused = match architecture {
            "phi3" => 2,
            _ => 1,
        };
        let inner = whole("feed_forward_length")
            .or_else(|| Some(columns("blk.0.ffn_up.weight")? / fused))
            .or_else(|| {
                header
                    .tensors
                    .get("blk.0.ffn_up_exps.weight")?
                    .shape
                    .get(1)
                    .copied()
            })
            .unwrap_or(0);
        Ok(Self {
            hidden,
            vocabulary: columns("token_embd.weight").unwrap_or(0),
            queries: heads.saturating_mul(head),
            keys: key_heads.saturating_mul(head),
            values: key_heads.saturating_mul(value_head),
            attended: heads.saturating_mul(value_head),
            head,
            inner,
            expert: whole("expert_feed_forward_length").unwrap_or(inner),
            experts: whole("expert_count").unwrap_or(0),
            fused,
        })
    }

    /// The shape of a tensor, with the dimension that changes fastest first; nothing for one that has none of its own.
    fn of_tensor(&self, name: &str) -> Option<Vec<u64>> {
        let (hidden, inner) = (self.hidden, self.inner);
        let part = match name.strip_prefix("blk.") {
            Some(in_layer) => in_layer.split_once('.')?.1,
            None => name,
        };
        Some(match part {
            "token_embd.weight" | "output.weight" => vec![hidden, self.vocabulary],
            "output.bias" => vec![self.vocabulary],
            "output_norm.weight" | "output_norm.bias" => vec![hidden],
            "attn_norm.weight" | "attn_norm.bias" | "ffn_norm.weight" | "ffn_norm.bias" => {
                vec![hidden]
            }
            "attn_q_norm.weight" | "attn_k_norm.weight" => vec![self.head],
            "attn_q.weight" => vec![hidden, self.queries],
            "attn_q.bias" => vec![self.queries],
            "attn_k.weight" => vec![hidden, self.keys],
            "attn_k.bias" => vec![self.keys],
            "attn_v.weight" => vec![hidden, self.values],
            "attn_v.bias" => vec![self.values],
            "attn_qkv.weight" => vec![hidden, self.projected()],
            "attn_qkv.bias" => vec![self.projected()],
            "attn_output.weight" => vec![self.attended, hidden],
            "attn_output.bias" | "ffn_down.bias" => vec![hidden],
            "ffn_gate.weight" => vec![hidden, inner],
            "ffn_up.weight" => vec![hidden, inner.saturating_mul(self.fused)],
            "ffn_up.bias" => vec![inner],
            "ffn_down.weight" => vec![inner, hidden],
            "ffn_gate_inp.weight" => vec![hidden, self.experts],
            "ffn_gate_exps.weight" | "ffn_up_exps.weight" => {
                vec![hidden, self.expert, self.experts]
            }
            "ffn_down_exps.weight" => vec![self.expert, hidden, self.experts],
            part => return self.of_old_expert(part),
        })
    }

    /// Width of queries, keys and values in one.
    fn projected(&self) -> u64 {
        let keys_and_values = self.keys.saturating_add(self.values);
        self.queries.saturating_add(keys_and_values)
    }

    /// An expert of an older file, which has a tensor to itself: `ffn_gate.3.weight`.
    fn of_old_expert(&self, part: &str) -> Option<Vec<u64>> {
        let (projection, number) = part.strip_suffix(".weight")?.split_once('.')?;
        number.parse::<u32>().ok()?;
        match projection {
            "ffn_gate" | "ffn_up" => Some(vec![self.hidden, self.expert]),
            "ffn_down" => Some(vec![self.expert, self.hidden]),
            _ => None,
        }
    }
}
