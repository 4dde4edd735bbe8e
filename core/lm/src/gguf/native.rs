//! A GGUF file as the native decoder reads it: the configuration that its keys stand for, and its tensors with the names and the
//! order of rows that a model folder has.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value as Json, json};

use super::header::{self, Header};
use super::{architectures, honoured};
use crate::blocks::{Format, Stored};
use crate::config::{Architecture, DecoderConfig, in_file};
use crate::error::{Error, Result};
use crate::ops::QuantizedWeight;

/// Tensors by the names of a layer's modules in a model folder.
const MODULES: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The weights of a file, open for reading.
pub(crate) struct GgufWeights {
    tensors: BTreeMap<String, header::Tensor>,
    path: PathBuf,
    file: Mutex<File>,
    config: DecoderConfig,
}

impl GgufWeights {
    /// Opens those of a file whose keys and tensors are all honoured.
    pub(super) fn open(header: &Header, path: &Path) -> Result<Self> {
        Ok(Self {
            tensors: header.tensors.clone(),
            path: path.to_owned(),
            file: Mutex::new(File::open(path).map_err(Error::io("read", path))?),
            config: config(header, path)?,
        })
    }

    /// What the file says of its model.
    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Shape of a weight as a model folder has it; nothing where it is not there.
    ///
    /// # Errors
    /// When it is stored in a format that is not read.
    pub(crate) fn shape(&self, name: &str) -> Result<Option<Vec<u64>>> {
        if !self.tensors.contains_key(&tensor_name(name)) {
            return Ok(None);
        }
        let (stored, tensor) = self.slot(name)?;
        match (tensor.shape.len(), stored) {
            (1, Stored::Blocks(_)) => Err(self.refused(format!(
                "the tensor `{}` has one dimension and is stored in the format `{}`",
                tensor_name(name),
                tensor.format()
            ))),
            _ => Ok(Some(tensor.shape.iter().rev().copied().collect())),
        }
    }

    /// That the file has no weight of a name and shape.
    pub(crate) fn misfit(&self, name: &str, shape: &[usize], has: Option<&[u64]>) -> Error {
        let theirs = tensor_name(name);
        self.refused(match has {
            None => format!("the tensor `{theirs}` is missing"),
            Some(has) => {
                format!("the tensor `{theirs}` has shape {has:?}, and its keys ask for {shape:?}")
            }
        })
    }

    /// How a weight is stored, and where.
    fn slot(&self, name: &str) -> Result<(Stored, &header::Tensor)> {
        let theirs = tensor_name(name);
        let tensor = self.tensors.get(&theirs);
        let tensor =
            tensor.ok_or_else(|| self.refused(format!("the tensor `{theirs}` is missing")))?;
        let format = tensor.format();
        let stored = match format {
            "F32" => Stored::F32,
            "F16" => Stored::F16,
            "BF16" => Stored::Bf16,
            blocks => Stored::Blocks(Format::named(blocks).ok_or_else(|| {
                self.refused(format!(
                    "the native decoder does not read the format `{format}`, in which the tensor `{theirs}` is stored"
                ))
                .hint("`engine: mistralrs`, or take a file in Q4_K_M, Q5_K_M, Q6_K or Q8_0")
            })?),
        };
        Ok((stored, tensor))
    }

    fn refused(&self, why: String) -> Error {
        Error::Unsupported(format!("{why} (in `{}`)", self.path.display()))
    }

    /// How a weight is stored.
    pub(crate) fn stored(&self, name: &str) -> Result<Stored> {
        Ok(self.slot(name)?.0)
    }

    /// Appends the bytes of a weight, row by row as a model folder has it.
    pub(crate) fn append(&self, name: &str, to: &mut Vec<u8>) -> Result<()> {
        let (_, tensor) = self.slot(name)?;
        let length = tensor
            .bytes()
            .and_then(|length| usize::try_from(length).ok());
        let length =
            length.ok_or_else(|| self.refused(format!("the tensor `{name}` is too large")))?;
        let before = to.len();
        to.resize(before + length, 0);
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(tensor.start))
            .and_then(|_| file.read_exact(&mut to[before..]))
            .map_err(Error::io("read", &self.path))?;
        if let Some(heads) = self.rotated_in_pairs(name) {
            in_halves(&mut to[before..], heads, self.config.head_dim);
        }
        Ok(())
    }

    /// A weight that is not stored in blocks.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let mut bytes = Vec::new();
        self.append(name, &mut bytes)?;
        let dtype = match self.stored(name)? {
            Stored::F32 => DType::F32,
            Stored::F16 => DType::F16,
            Stored::Bf16 => DType::BF16,
            Stored::Blocks(_) => {
                return Err(self.refused(format!("the tensor `{name}` is stored in blocks")));
            }
        };
        Ok(Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?)
    }

    /// A matrix that is stored in blocks, for the decoder that reads one text at a time.
    pub(crate) fn quantized(&self, name: &str) -> Result<Option<QuantizedWeight>> {
        let (stored, tensor) = self.slot(name)?;
        let (Stored::Blocks(format), [inputs, outputs]) = (stored, tensor.shape.as_slice()) else {
            return Ok(None);
        };
        let shape = (*outputs as usize, *inputs as usize);
        let mut bytes = Vec::new();
        self.append(name, &mut bytes)?;
        let weight = QuantizedWeight::of_blocks(&bytes, ggml(format), shape)?;
        Ok(Some(weight))
    }

    /// Heads of a weight whose rows were put in another order: llama.cpp rotates neighbours against each other in this family, and
    /// its converters move what is rotated together side by side.
    fn rotated_in_pairs(&self, name: &str) -> Option<usize> {
        if self.config.architecture != Architecture::Llama {
            return None;
        }
        match name.split('.').rev().nth(1)? {
            "q_proj" => Some(self.config.num_attention_heads),
            "k_proj" => Some(self.config.num_key_value_heads),
            _ => None,
        }
    }
}

/// The tensor library's name of a format.
fn ggml(format: Format) -> GgmlDType {
    match format {
        Format::Q4_0 => GgmlDType::Q4_0,
        Format::Q4_1 => GgmlDType::Q4_1,
        Format::Q5_0 => GgmlDType::Q5_0,
        Format::Q5_1 => GgmlDType::Q5_1,
        Format::Q8_0 => GgmlDType::Q8_0,
        Format::Q4_K => GgmlDType::Q4K,
        Format::Q5_K => GgmlDType::Q5K,
        Format::Q6_K => GgmlDType::Q6K,
    }
}

/// Brings the rows of heads from `0 0' 1 1' ..`, where `n` and `n'` are rotated against each other, into `0 1 .. 0' 1' ..`.
fn in_halves(bytes: &mut [u8], heads: usize, width: usize) {
    let row = bytes.len() / (heads * width).max(1);
    if row == 0 {
        return;
    }
    let mut of_head = vec![0; width * row];
    for head in bytes.chunks_exact_mut(width * row) {
        of_head.copy_from_slice(head);
        for (i, from) in of_head.chunks_exact(row).enumerate() {
            let to = i / 2 + i % 2 * (width / 2);
            head[to * row..][..row].copy_from_slice(from);
        }
    }
}

/// The name of a weight of a model folder in a file.
fn tensor_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".to_owned(),
        "model.norm.weight" => return "output_norm.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let parts = name
        .strip_prefix("model.layers.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(layer, rest)| Some((layer, rest.rsplit_once('.')?)));
    let Some((layer, (module, kind))) = parts else {
        return name.to_owned();
    };
    let known = MODULES.iter().find(|known| known.0 == module);
    format!(
        "blk.{layer}.{}.{kind}",
        known.map_or(module, |known| known.1)
    )
}

/// The configuration that a model folder would have. What the file says beside it was refused by name before.
fn config(header: &Header, path: &Path) -> Result<DecoderConfig> {
    let refused = |why: String| Error::Unsupported(format!("{why} (in `{}`)", path.display()));
    let name = header.text("general.architecture").unwrap_or_default();
    let architecture = architectures::family(name)
        .ok_or_else(|| refused(format!("GGUF files of the architecture `{name}`")))?;
    let key = |short: &str| format!("{name}.{short}");
    let whole = |short: &str| -> Result<i128> {
        let value = header.whole(&key(short));
        value.ok_or_else(|| {
            refused(format!(
                "the key `{}` is missing or no whole number",
                key(short)
            ))
        })
    };
    let real = |short: &str| {
        header
            .metadata
            .get(&key(short))
            .and_then(header::Value::real)
    };
    if let Some(experts) = header
        .whole(&key("expert_count"))
        .filter(|&count| count > 1)
    {
        return Err(refused(format!(
            "the native decoder computes no GGUF files with experts, and this one has {experts}"
        ))
        .hint("`engine: mistralrs`"));
    }
    let dimension = |tensor: &str, from_last: usize| -> Result<u64> {
        let shape = header.tensors.get(tensor).map(|tensor| &tensor.shape);
        let size = shape.and_then(|shape| shape.iter().rev().nth(from_last));
        size.copied()
            .ok_or_else(|| refused(format!("the tensor `{tensor}` is missing or no matrix")))
    };
    let heads = whole("attention.head_count")?;
    let hidden = whole("embedding_length")?;
    let width = match header.whole(&key("attention.key_length")) {
        Some(width) => Some(width),
        None => hidden.checked_div(heads),
    };
    let values = header.whole(&key("attention.value_length")).or(width);
    if values != width {
        return Err(refused(format!(
            "the native decoder computes no heads whose keys and values have different widths (`{}`)",
            key("attention.value_length")
        )));
    }
    let context = whole("context_length")?;
    let eps = real("attention.layer_norm_rms_epsilon");
    let eps = eps.ok_or_else(|| {
        let key = key("attention.layer_norm_rms_epsilon");
        refused(format!("the key `{key}` is missing"))
    })?;
    let number = |n: i128| i64::try_from(n).map_or(Json::Null, Json::from);
    let mut config = json!({
        "architectures": [architecture.class_name()],
        "vocab_size": dimension("token_embd.weight", 0)?,
        "hidden_size": number(hidden),
        "intermediate_size": dimension("blk.0.ffn_up.weight", 0)?,
        "num_hidden_layers": number(whole("block_count")?),
        "num_attention_heads": number(heads),
        "num_key_value_heads": number(whole("attention.head_count_kv")?),
        "head_dim": width.map(number),
        "max_position_embeddings": number(context),
        "rms_norm_eps": eps,
        // As llama.cpp has it where the file says nothing.
        "rope_theta": real("rope.freq_base").unwrap_or(10_000.0),
        "tie_word_embeddings": !header.tensors.contains_key("output.weight"),
    });
    if let Some(divisors) = divisors(header, path)? {
        config["rope_scaling"] = json!({
            "rope_type": "longrope",
            "factor": 1.0,
            "original_max_position_embeddings": number(context),
            "short_factor": divisors,
            "long_factor": divisors,
        });
    }
    DecoderConfig::from_json(&config).map_err(|error| in_file(error, path))
}

/// Divisors of the rotary frequencies (`rope_freqs.weight`, in files of Llama 3.1 and 3.2), where they are not all 1.
fn divisors(header: &Header, path: &Path) -> Result<Option<Vec<f32>>> {
    if !header.tensors.contains_key("rope_freqs.weight") {
        return Ok(None);
    }
    let factors = honoured::rope_freqs(header, path).map_err(Error::Unsupported)?;
    let factors = factors.ok_or_else(|| {
        Error::Unsupported(format!(
            "the tensor `rope_freqs.weight` is not stored in F32 (in `{}`)",
            path.display()
        ))
    })?;
    let some = factors.iter().any(|&factor| factor != 1.0);
    Ok(some.then_some(factors))
}
