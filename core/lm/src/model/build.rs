//! Building a decoder from named weights, and giving it adapters.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::{Adapter, Decoder, Layer, Linear, RopeTables};
use crate::compute::BaseQuantization;
use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::lora::LoraConfig;
use crate::ops::{QuantizedWeight, Traced, Weight};
use crate::tensors::Shards;

/// Trainable tensors by name, in f32. The order of the names is the order of every loop over them.
pub(crate) type Parameters = BTreeMap<String, Traced>;

/// The linear modules of a layer, as PEFT names them: the part inside the layer, and the short name.
const MODULES: [(&str, &str); 7] = [
    ("self_attn", "q_proj"),
    ("self_attn", "k_proj"),
    ("self_attn", "v_proj"),
    ("self_attn", "o_proj"),
    ("mlp", "gate_proj"),
    ("mlp", "up_proj"),
    ("mlp", "down_proj"),
];

/// Short names of the linear modules that can have an adapter.
pub(crate) fn module_names() -> impl Iterator<Item = &'static str> {
    MODULES.into_iter().map(|(_, name)| name)
}

/// How the weights of a decoder are held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Precision {
    /// The type that is computed in, and in which frozen weights are held.
    pub(crate) dtype: DType,
    /// Every weight is a parameter, in f32.
    pub(crate) trainable: bool,
    /// The frozen weights of the linear modules are rounded to this format.
    pub(crate) quantization: Option<BaseQuantization>,
}

impl Precision {
    /// Frozen weights in the compute type.
    pub(crate) fn frozen(dtype: DType) -> Self {
        Self {
            dtype,
            trainable: false,
            quantization: None,
        }
    }
}

/// Where weights come from while a decoder is built, and whether they are trained.
struct Builder<'a> {
    read: &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
    device: &'a Device,
    precision: Precision,
    parameters: Parameters,
}

impl Builder<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Traced> {
        let tensor = (self.read)(name, shape)?.to_device(self.device)?;
        if !self.precision.trainable {
            return Ok(Traced::constant(tensor.to_dtype(self.precision.dtype)?));
        }
        let parameter = Traced::parameter(tensor.to_dtype(DType::F32)?);
        self.parameters.insert(name.to_owned(), parameter.clone());
        Ok(parameter)
    }

    /// A weight that is multiplied with, quantised where that was asked for.
    fn matrix(&mut self, name: &str, shape: (usize, usize)) -> Result<Weight> {
        let Some(quantization) = self.precision.quantization else {
            return Ok(self.tensor(name, &[shape.0, shape.1])?.into());
        };
        let block = quantization.block_size();
        if !shape.1.is_multiple_of(block) {
            return Err(Error::Config(format!(
                "`base_quantization: {quantization}` works on blocks of {block} elements, but the rows of `{name}` have {}; \
                 hint: `q8_0` and `q4_0` have blocks of 32",
                shape.1
            )));
        }
        let matrix = (self.read)(name, &[shape.0, shape.1])?;
        let weight = QuantizedWeight::new(&matrix, quantization.format(), self.device)?;
        Ok(Weight::Quantized(weight))
    }

    fn linear(&mut self, module: &str, shape: (usize, usize), bias: bool) -> Result<Linear> {
        let weight = self.matrix(&format!("{module}.weight"), shape)?;
        let bias = match bias {
            true => Some(self.tensor(&format!("{module}.bias"), &[shape.0])?),
            false => None,
        };
        Ok(Linear {
            weight,
            bias,
            adapter: None,
        })
    }

    fn layer(&mut self, index: usize, config: &DecoderConfig) -> Result<Layer> {
        let hidden = config.hidden_size;
        let inner = config.intermediate_size;
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        let bias = config.qkv_bias();
        let at = |part: &str| format!("model.layers.{index}.{part}");
        let attention = |name: &str| at(&format!("self_attn.{name}"));
        let mlp = |name: &str| at(&format!("mlp.{name}"));
        Ok(Layer {
            input_norm: self.tensor(&at("input_layernorm.weight"), &[hidden])?,
            q_proj: self.linear(&attention("q_proj"), (queries, hidden), bias)?,
            k_proj: self.linear(&attention("k_proj"), (keys, hidden), bias)?,
            v_proj: self.linear(&attention("v_proj"), (keys, hidden), bias)?,
            o_proj: self.linear(&attention("o_proj"), (hidden, queries), false)?,
            qk_norm: match config.qk_norm() {
                true => Some((
                    self.tensor(&attention("q_norm.weight"), &[config.head_dim])?,
                    self.tensor(&attention("k_norm.weight"), &[config.head_dim])?,
                )),
                false => None,
            },
            post_attention_norm: self.tensor(&at("post_attention_layernorm.weight"), &[hidden])?,
            gate_proj: self.linear(&mlp("gate_proj"), (inner, hidden), false)?,
            up_proj: self.linear(&mlp("up_proj"), (inner, hidden), false)?,
            down_proj: self.linear(&mlp("down_proj"), (hidden, inner), false)?,
        })
    }
}

impl Decoder {
    /// Builds a decoder from weights by name and shape. Those that are trained come back by name.
    pub(crate) fn build(
        config: &DecoderConfig,
        device: &Device,
        precision: Precision,
        read: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<(Self, Parameters)> {
        let mut builder = Builder {
            read,
            device,
            precision,
            parameters: Parameters::new(),
        };
        let table = [config.vocab_size, config.hidden_size];
        let embed_tokens = builder.tensor("model.embed_tokens.weight", &table)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| builder.layer(index, config))
            .collect::<Result<Vec<_>>>()?;
        let norm = builder.tensor("model.norm.weight", &[config.hidden_size])?;
        let lm_head = match config.tie_word_embeddings {
            true => embed_tokens.clone(),
            false => builder.tensor("lm_head.weight", &table)?,
        };
        let decoder = Self {
            rope: RopeTables::new(config, config.longest_sequence(), precision.dtype, device)?,
            config: config.clone(),
            device: device.clone(),
            dtype: precision.dtype,
            embed_tokens,
            layers,
            norm,
            lm_head,
        };
        Ok((decoder, builder.parameters))
    }

    /// Builds a decoder from the weights of a model folder. A weight that the configuration does not speak of is refused:
    /// the model would compute something else than its makers meant.
    pub(crate) fn from_shards(
        config: &DecoderConfig,
        shards: &Shards,
        device: &Device,
        precision: Precision,
    ) -> Result<(Self, Parameters)> {
        let mut used = std::collections::BTreeSet::new();
        let built = Self::build(config, device, precision, &mut |name, shape| {
            if let Some(slot) = shards.slot(name)
                && slot.shape != shape
            {
                return Err(Error::Unsupported(format!(
                    "weight `{name}` has shape {:?}, but `config.json` asks for {shape:?}",
                    slot.shape
                )));
            }
            used.insert(name.to_owned());
            shards.read(name, &Device::Cpu)
        })?;
        let spare = shards
            .files()
            .iter()
            .flat_map(|file| file.tensors().keys())
            .find(|name| {
                let tied_head = config.tie_word_embeddings && *name == "lm_head.weight";
                !used.contains(*name) && !tied_head && !name.ends_with("rotary_emb.inv_freq")
            });
        match spare {
            Some(name) => Err(Error::Unsupported(format!(
                "weight `{name}` has no place in `{}`",
                config.architecture.class_name()
            ))),
            None => Ok(built),
        }
    }

    /// Gives every target module an adapter whose factors `init` makes (name, shape), and returns them as parameters.
    pub(crate) fn attach_lora(
        &mut self,
        lora: &LoraConfig,
        mut init: impl FnMut(&str, (usize, usize)) -> Result<Tensor>,
    ) -> Result<Parameters> {
        let targets = lora.targets()?;
        let scale = lora.scale();
        let mut parameters = Parameters::new();
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let linears = layer.linears_mut();
            for (number, ((part, name), linear)) in MODULES.into_iter().zip(linears).enumerate() {
                if !targets.contains(name) {
                    continue;
                }
                let (outputs, inputs) = linear.shape()?;
                let module = format!("base_model.model.model.layers.{index}.{part}.{name}");
                let mut factor = |letter: char, shape: (usize, usize)| -> Result<Traced> {
                    let name = format!("{module}.lora_{letter}.weight");
                    let value = init(&name, shape)?.to_device(&self.device)?;
                    let parameter = Traced::parameter(value.to_dtype(DType::F32)?);
                    parameters.insert(name, parameter.clone());
                    Ok(parameter)
                };
                linear.adapter = Some(Adapter {
                    a: factor('A', (lora.rank, inputs))?,
                    b: factor('B', (outputs, lora.rank))?,
                    scale,
                    dropout: lora.dropout,
                    module: (index * MODULES.len() + number) as u64,
                });
            }
        }
        Ok(parameters)
    }

    /// Every frozen weight, in a fixed order.
    pub(crate) fn frozen_weights(&self) -> Vec<Weight> {
        let plain = |weight: &Traced| Weight::Plain(weight.clone());
        let mut weights = vec![plain(&self.embed_tokens), plain(&self.norm)];
        for layer in &self.layers {
            weights.extend([&layer.input_norm, &layer.post_attention_norm].map(plain));
            weights.extend(layer.qk_norm.iter().flat_map(|(q, k)| [plain(q), plain(k)]));
            weights.extend(layer.linears().into_iter().flat_map(Linear::weights));
        }
        if !self.config.tie_word_embeddings {
            weights.push(plain(&self.lm_head));
        }
        weights.retain(|weight| !weight.requires_grad());
        weights
    }
}
