//! Building a decoder from named weights, and giving it adapters.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use driftgauge_folder::adapter::{AdapterSettings, saved_by};

use super::layer::{Attention, Projections};
use super::mlp::{GateAndUp, Gated, Mlp};
use super::rope::depends_on_length;
use super::{Adapter, Decoder, Layer, Linear, RopeTables};
use crate::check::{check_blocks, check_weights};
use crate::compute::block_format;
use crate::config::{Architecture, DecoderConfig, Experts, Norms};
use crate::error::{Error, Result};
use crate::gguf::GgufWeights;
use crate::ops::{QuantizedWeight, Traced, Weight, halved, is_read_whole};
use crate::tensors::Shards;
use driftgauge_engine::Rounding;
use driftgauge_engine::training::BaseQuantization;

/// Trainable tensors by name, in f32. The order of the names is the order of every loop over them.
pub(crate) type Parameters = BTreeMap<String, Traced>;

/// The linear modules of a layer, as PEFT names them: those that every weight has to itself, and those that hold several in one.
const MODULES: [&str; 9] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "qkv_proj",
    "gate_up_proj",
];

/// How many modules a layer has at most.
const MODULES_OF_A_LAYER: usize = 7;

/// Short names of the linear modules that can have an adapter, of layers of either kind.
pub(crate) fn module_names() -> impl Iterator<Item = &'static str> {
    MODULES.into_iter()
}

/// Those of the layers that a configuration describes.
pub(crate) fn modules_of(config: &DecoderConfig) -> Vec<&'static str> {
    let (attention, mlp) = (config.attention.fused, config.mlp.fused);
    let has = |name: &&str| match *name {
        "q_proj" | "k_proj" | "v_proj" => !attention,
        "qkv_proj" => attention,
        "gate_proj" | "up_proj" => !mlp,
        "gate_up_proj" => mlp,
        _ => true,
    };
    module_names().filter(has).collect()
}

/// How the weights of a decoder are held.
#[derive(Debug, Clone)]
pub(crate) struct Precision {
    /// The type that is computed in, and in which frozen weights are held.
    pub(crate) dtype: DType,
    /// Every weight is a parameter, in f32.
    pub(crate) trainable: bool,
    /// The frozen weights of the linear modules are rounded to this format.
    pub(crate) quantization: Option<BaseQuantization>,
    /// Entries of `modules_to_save`: modules whose weights are parameters although the others are frozen.
    pub(crate) whole: Vec<String>,
    /// Frozen matrices whose numbers bf16 holds stay in it, where products read them so: half of the memory, and the same results.
    pub(crate) halves: bool,
}

impl Precision {
    /// Whether the weight of this name is a parameter.
    fn trains(&self, name: &str) -> bool {
        let module = name.trim_end_matches(".weight").trim_end_matches(".bias");
        self.trainable || self.whole.iter().any(|entry| saved_by(entry, module))
    }

    /// Frozen weights in the compute type.
    pub(crate) fn frozen(dtype: DType) -> Self {
        Self {
            dtype,
            trainable: false,
            quantization: None,
            whole: Vec::new(),
            halves: false,
        }
    }

    /// A frozen weight as it is held.
    fn held(&self, tensor: &Tensor) -> Result<Tensor> {
        let half = match (self.halves, tensor.rank(), tensor.dtype()) {
            (true, 2, DType::BF16) => Some(tensor.clone()),
            (true, 2, DType::F32) => halved(tensor)?,
            _ => None,
        };
        match half.filter(|half| is_read_whole(half, self.dtype)) {
            Some(half) => Ok(half),
            None => Ok(tensor.to_dtype(self.dtype)?),
        }
    }
}

/// A tensor of an adapter that is about to be made.
pub(crate) struct Fresh<'a> {
    /// Its name in PEFT's file.
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    /// The weight that it changes.
    pub(crate) weight: &'a Weight,
}

/// What is stored in blocks under a name.
type Blocks<'a> = dyn Fn(&str) -> Result<Option<QuantizedWeight>> + 'a;

/// Where weights come from while a decoder is built, and whether they are trained.
struct Builder<'a> {
    read: &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
    /// Weights that are multiplied with as they are, where they are stored in blocks.
    blocks: Option<&'a Blocks<'a>>,
    device: &'a Device,
    precision: Precision,
    parameters: Parameters,
}

impl Builder<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Traced> {
        self.tensor_like(name, name, shape)
    }

    /// A weight that begins as the one stored under another name.
    fn tensor_like(&mut self, name: &str, stored: &str, shape: &[usize]) -> Result<Traced> {
        let tensor = (self.read)(stored, shape)?.to_device(self.device)?;
        if !self.precision.trains(name) {
            return Ok(Traced::constant(self.precision.held(&tensor)?));
        }
        let parameter = Traced::parameter(tensor.to_dtype(DType::F32)?);
        self.parameters.insert(name.to_owned(), parameter.clone());
        Ok(parameter)
    }

    /// A weight that is multiplied with, quantised where that was asked for.
    fn matrix(&mut self, name: &str, shape: (usize, usize)) -> Result<Weight> {
        if let Some(blocks) = self.blocks
            && let Some(weight) = blocks(name)?
        {
            return Ok(Weight::Quantized(weight));
        }
        let quantization = self.precision.quantization;
        let Some(quantization) = quantization.filter(|_| !self.precision.trains(name)) else {
            return Ok(self.tensor(name, &[shape.0, shape.1])?.into());
        };
        let format = block_format(quantization);
        let block = format.block_size();
        if !shape.1.is_multiple_of(block) {
            return Err(Error::Config(format!("`base_quantization: {quantization}` works on blocks of {block} elements, but the rows of `{name}` have {}", shape.1)).hint("`q8_0` and `q4_0` have blocks of 32"));
        }
        let matrix = (self.read)(name, &[shape.0, shape.1])?;
        let weight = QuantizedWeight::new(&matrix, format, self.device)?;
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
        let at = |part: &str| format!("model.layers.{index}.{part}");
        // What stands before the MLP, and behind attention and MLP where anything does.
        let (mlp_norm, behind) = match config.norms {
            Norms::Before => ("post_attention_layernorm", None),
            Norms::AroundBothAsGemma => (
                "pre_feedforward_layernorm",
                Some(("post_attention_layernorm", "post_feedforward_layernorm")),
            ),
            Norms::AroundBothAsGlm => (
                "post_attention_layernorm",
                Some(("post_self_attn_layernorm", "post_mlp_layernorm")),
            ),
        };
        let mut norm = |name: &str| self.tensor(&at(&format!("{name}.weight")), &[hidden]);
        let input_norm = norm("input_layernorm")?;
        let mlp_norm = norm(mlp_norm)?;
        let (after_attention, after_mlp) = match behind {
            Some((attention, mlp)) => (Some(norm(attention)?), Some(norm(mlp)?)),
            None => (None, None),
        };
        let layer = config.layers[index];
        Ok(Layer {
            config: layer,
            input_norm,
            attention: self.attention(&at("self_attn"), config)?,
            after_attention,
            mlp_norm,
            mlp: match (layer.experts, config.experts) {
                (true, Some(experts)) => self.experts(&at(""), experts, config)?,
                _ => Mlp::Dense(self.dense(&at("mlp"), config)?),
            },
            after_mlp,
        })
    }

    fn attention(&mut self, at: &str, config: &DecoderConfig) -> Result<Attention> {
        let (hidden, width) = (config.hidden_size, config.head_dim);
        let queries = config.num_attention_heads * width;
        let keys = config.num_key_value_heads * width;
        let settings = &config.attention;
        let mut projection = |name: &str, rows| {
            self.linear(&format!("{at}.{name}"), (rows, hidden), settings.biases)
        };
        let input = match settings.fused {
            true => Projections::Fused(Box::new(projection("qkv_proj", queries + 2 * keys)?)),
            false => Projections::Apart(Box::new([
                projection("q_proj", queries)?,
                projection("k_proj", keys)?,
                projection("v_proj", keys)?,
            ])),
        };
        Ok(Attention {
            input,
            output: self.linear(
                &format!("{at}.o_proj"),
                (hidden, queries),
                settings.output_bias,
            )?,
            qk_norm: match settings.qk_norm {
                true => Some((
                    self.tensor(&format!("{at}.q_norm.weight"), &[width])?,
                    self.tensor(&format!("{at}.k_norm.weight"), &[width])?,
                )),
                false => None,
            },
        })
    }

    fn dense(&mut self, at: &str, config: &DecoderConfig) -> Result<Gated> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let bias = config.mlp.bias;
        let mut projection =
            |name: &str, rows| self.linear(&format!("{at}.{name}"), (rows, hidden), bias);
        let input = match config.mlp.fused {
            true => GateAndUp::Fused(Box::new(projection("gate_up_proj", 2 * inner)?)),
            false => GateAndUp::Apart(Box::new([
                projection("gate_proj", inner)?,
                projection("up_proj", inner)?,
            ])),
        };
        Ok(Gated {
            input,
            down: self.linear(&format!("{at}.down_proj"), (hidden, inner), bias)?,
        })
    }

    fn experts(&mut self, at: &str, experts: Experts, config: &DecoderConfig) -> Result<Mlp> {
        let (hidden, inner) = (config.hidden_size, experts.width);
        let (part, [gate, up, down]) = match config.architecture {
            Architecture::Mixtral => ("block_sparse_moe", ["w1", "w3", "w2"]),
            _ => ("mlp", ["gate_proj", "up_proj", "down_proj"]),
        };
        let router = self.linear(&format!("{at}{part}.gate"), (experts.count, hidden), false)?;
        let experts = (0..experts.count)
            .map(|number| {
                let at = format!("{at}{part}.experts.{number}");
                let mut projection =
                    |name: &str, shape| self.linear(&format!("{at}.{name}"), shape, false);
                let input = [
                    projection(gate, (inner, hidden))?,
                    projection(up, (inner, hidden))?,
                ];
                Ok(Gated {
                    input: GateAndUp::Apart(Box::new(input)),
                    down: projection(down, (hidden, inner))?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Mlp::Experts { router, experts })
    }

    /// Everything of a decoder but its rotary tables.
    fn decoder(&mut self, config: &DecoderConfig) -> Result<Weights> {
        let table = [config.vocab_size, config.hidden_size];
        let embed_tokens = self.tensor("model.embed_tokens.weight", &table)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| self.layer(index, config))
            .collect::<Result<Vec<_>>>()?;
        let norm = self.tensor("model.norm.weight", &[config.hidden_size])?;
        let (embedding, head) = ("model.embed_tokens.weight", "lm_head.weight");
        let one_moves = |p: &Precision| !p.trainable && (p.trains(embedding) || p.trains(head));
        let lm_head = match config.tie_word_embeddings {
            // As in PEFT, a whole module that is trained moves alone.
            true if one_moves(&self.precision) => self.tensor_like(head, embedding, &table)?,
            true => embed_tokens.clone(),
            false => self.tensor(head, &table)?,
        };
        Ok(Weights {
            embed_tokens,
            layers,
            norm,
            lm_head,
        })
    }
}

/// What a [`Builder`] makes.
struct Weights {
    embed_tokens: Traced,
    layers: Vec<Layer>,
    norm: Traced,
    lm_head: Traced,
}

/// Name and shape of every weight that a decoder reads.
///
/// # Errors
/// When the tensor library fails.
pub(crate) fn expected_weights(config: &DecoderConfig) -> Result<BTreeMap<String, Vec<usize>>> {
    let mut expected = BTreeMap::new();
    let number = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    Builder {
        read: &mut |name, shape| {
            expected.insert(name.to_owned(), shape.to_vec());
            // One number in memory, whatever the shape.
            Ok(number.broadcast_as(shape)?)
        },
        blocks: None,
        device: &Device::Cpu,
        precision: Precision::frozen(DType::F32),
        parameters: Parameters::new(),
    }
    .decoder(config)?;
    Ok(expected)
}

impl Decoder {
    /// Builds a decoder from weights by name and shape. Those that are trained come back by name.
    pub(crate) fn build(
        config: &DecoderConfig,
        device: &Device,
        precision: Precision,
        read: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<(Self, Parameters)> {
        let builder = Builder {
            read,
            blocks: None,
            device,
            precision,
            parameters: Parameters::new(),
        };
        Self::of(builder, config)
    }

    /// Builds a decoder from a GGUF file, on the processor and in f32; matrices that are stored in blocks stay in them.
    pub(crate) fn from_gguf(weights: &GgufWeights) -> Result<Self> {
        check_blocks(weights)?;
        let blocks = |name: &str| weights.quantized(name);
        let builder = Builder {
            read: &mut |name, shape| match blocks(name)? {
                Some(blocks) => Ok(blocks.dequantize()?),
                None => weights.read(name, shape),
            },
            blocks: Some(&blocks),
            device: &Device::Cpu,
            precision: Precision::frozen(DType::F32),
            parameters: Parameters::new(),
        };
        Ok(Self::of(builder, weights.config())?.0)
    }

    fn of(mut builder: Builder<'_>, config: &DecoderConfig) -> Result<(Self, Parameters)> {
        let weights = builder.decoder(config)?;
        let device = builder.device;
        let dtype = builder.precision.dtype;
        let longest = config.longest_sequence();
        let tables = |rope| match depends_on_length(rope) {
            true => Ok(None),
            false => RopeTables::new(rope, longest, dtype, device).map(Some),
        };
        let decoder = Self {
            ropes: config.ropes.iter().map(tables).collect::<Result<_>>()?,
            config: config.clone(),
            device: device.clone(),
            dtype,
            embed_tokens: weights.embed_tokens,
            layers: weights.layers,
            norm: weights.norm,
            lm_head: weights.lm_head,
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
        check_weights(config, shards)?;
        Self::build(config, device, precision, &mut |name, _| {
            shards.read(name, &Device::Cpu)
        })
    }

    /// The same on the processor and in f32, with rounded weights.
    pub(crate) fn rounded(
        config: &DecoderConfig,
        shards: &Shards,
        rounding: Rounding,
    ) -> Result<Self> {
        check_weights(config, shards)?;
        let precision = Precision {
            quantization: match rounding {
                Rounding::Blocks(format) => Some(format),
                Rounding::None | Rounding::Bf16 => None,
            },
            halves: rounding == Rounding::Bf16,
            ..Precision::frozen(DType::F32)
        };
        let (decoder, _) = Self::build(config, &Device::Cpu, precision, &mut |name, _| {
            let stored = shards.read(name, &Device::Cpu)?;
            Ok(match rounding {
                Rounding::Bf16 => stored.to_dtype(DType::BF16)?,
                Rounding::None | Rounding::Blocks(_) => stored,
            })
        })?;
        Ok(decoder)
    }

    /// Gives every module that the settings name an adapter whose tensors `init` makes, and returns them as parameters.
    pub(crate) fn attach_lora(
        &mut self,
        settings: &AdapterSettings,
        mut init: impl FnMut(&Fresh<'_>) -> Result<Tensor>,
    ) -> Result<Parameters> {
        let mut parameters = Parameters::new();
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let linears = layer.linears_mut().into_iter().enumerate();
            for (number, (part, name, linear)) in linears {
                let module = format!("model.layers.{index}.{part}.{name}");
                if !settings.targets(&module) {
                    continue;
                }
                let (outputs, inputs) = linear.shape()?;
                let rank = settings.rank_of(&module);
                let mut tensor = |what: &str, shape: &[usize]| -> Result<Traced> {
                    let name = format!("base_model.model.{module}.{what}");
                    let fresh = Fresh {
                        name: &name,
                        shape,
                        weight: &linear.weight,
                    };
                    let value = init(&fresh)?.to_device(&self.device)?;
                    let parameter = Traced::parameter(value.to_dtype(DType::F32)?);
                    parameters.insert(name, parameter.clone());
                    Ok(parameter)
                };
                let adapter = Adapter {
                    a: tensor("lora_A.weight", &[rank, inputs])?,
                    b: tensor("lora_B.weight", &[outputs, rank])?,
                    lengths: match settings.dora {
                        true => Some(tensor("lora_magnitude_vector", &[outputs])?),
                        false => None,
                    },
                    scale: settings.scale_of(&module),
                    dropout: settings.dropout,
                    module: (index * MODULES_OF_A_LAYER + number) as u64,
                };
                linear.adapter = Some(adapter);
            }
        }
        Ok(parameters)
    }

    /// Every frozen weight, in a fixed order.
    pub(crate) fn frozen_weights(&self) -> Vec<Weight> {
        let plain = |weight: &Traced| Weight::Plain(weight.clone());
        let mut weights = vec![plain(&self.embed_tokens), plain(&self.norm)];
        for layer in &self.layers {
            weights.extend(layer.weights());
        }
        if !self.config.tie_word_embeddings || self.lm_head.is_apart_from(&self.embed_tokens) {
            weights.push(plain(&self.lm_head));
        }
        weights.retain(|weight| !weight.requires_grad());
        weights
    }
}
