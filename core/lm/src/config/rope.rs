//! Rotary positions in a configuration: as transformers 4 writes them (`rope_theta`, `rope_scaling`) and as transformers 5 does
//! (`rope_parameters`).

use driftgauge_folder::positions;
use serde_json::Value;

use super::fields::{Fields, short};
use crate::error::{Error, Result};

/// Rotary position embedding of some layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How many of a head's dimensions are rotated, from the first.
    pub width: usize,
    /// Neighbours are rotated against each other, not the two halves of the width.
    pub interleaved: bool,
    /// Scaling of the frequencies.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are scaled for contexts that are longer than those of the first training.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    None,
    /// All are slowed alike.
    Linear {
        /// How much.
        factor: f64,
    },
    /// The base grows with a sequence that is longer than the original context ("NTK-aware").
    Dynamic {
        /// How fast.
        factor: f64,
        /// The original context.
        original: usize,
    },
    /// Long wavelengths are slowed, short ones kept, with a ramp between (arXiv 2309.00071).
    Yarn {
        /// How much the lowest frequencies are slowed.
        factor: f64,
        /// Original context.
        original: usize,
        /// Rotations within the original context above which a frequency is kept.
        beta_fast: f64,
        /// Rotations below which it is slowed fully.
        beta_slow: f64,
        /// Cosines and sines are multiplied by it.
        attention_factor: f64,
        /// Whether the ends of the ramp are whole dimensions.
        truncate: bool,
    },
    /// Llama 3.1's: as YaRN, with the ramp over wavelengths.
    Llama3 {
        /// How much the lowest frequencies are slowed.
        factor: f64,
        /// Wavelengths above `original / low` are slowed fully.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// Original context.
        original: usize,
    },
    /// Each frequency has a divisor of its own, and another for sequences beyond the original context (arXiv 2402.13753).
    Long {
        /// Divisors within the original context.
        short: Vec<f64>,
        /// Divisors beyond it.
        long: Vec<f64>,
        /// Cosines and sines are multiplied by it.
        attention_factor: f64,
        /// Original context.
        original: usize,
    },
}

/// What a family's configuration says where the file says nothing, and what the scalings need to know.
pub(super) struct Context {
    pub(super) theta: f64,
    pub(super) partial: f64,
    /// Whether the family turns a part of each head where the file says so. transformers does not look at the key for the others.
    pub(super) partial_is_read: bool,
    pub(super) head_dim: usize,
    pub(super) positions: usize,
    /// The context before it was scaled, where no key says it.
    pub(super) original: usize,
    pub(super) interleaved: bool,
}

/// One description of the rotation for all layers.
pub(super) fn read(fields: &Fields<'_>, context: &Context) -> Result<Rope> {
    let nested = nested(fields)?;
    let theta = one_number(fields, nested.as_ref(), "rope_theta")?.unwrap_or(context.theta);
    let partial =
        one_number(fields, nested.as_ref(), "partial_rotary_factor")?.unwrap_or(context.partial);
    let original = one_number(fields, nested.as_ref(), "original_max_position_embeddings")?;
    described(nested.as_ref(), (theta, partial, original), context)
}

/// Two descriptions by the type of layer, as Gemma 3 has them: for layers that see everything, and for those with a window.
pub(super) fn read_by_layer_type(
    fields: &Fields<'_>,
    context: &Context,
    local_theta: f64,
) -> Result<(Rope, Rope)> {
    if let Some(parameters) = fields.get("rope_parameters") {
        for old in ["rope_scaling", "rope_theta", "rope_local_base_freq"] {
            if let Some(value) = fields.get(old) {
                return Err(contradiction("rope_parameters", old, value));
            }
        }
        let types = Fields::new(parameters, "rope_parameters")?;
        let of_type = |name: &str, theta: f64| -> Result<Rope> {
            let place = types.name(name);
            let own = types.get(name).map(|own| Fields::new(own, &place));
            let own = own.transpose()?;
            let number = |key: &str| own.as_ref().map_or(Ok(None), |own| own.number(key));
            let theta = number("rope_theta")?.unwrap_or(theta);
            let partial = number("partial_rotary_factor")?.unwrap_or(context.partial);
            let original = number("original_max_position_embeddings")?;
            described(own.as_ref(), (theta, partial, original), context)
        };
        let both = (
            of_type("full_attention", context.theta)?,
            of_type("sliding_attention", local_theta)?,
        );
        types.all_read("Gemma3ForCausalLM")?;
        return Ok(both);
    }
    let global = read(fields, context)?;
    let local = Rope {
        theta: fields
            .number("rope_local_base_freq")?
            .unwrap_or(local_theta),
        scaling: RopeScaling::None,
        ..global.clone()
    };
    Ok((global, local))
}

/// The object that describes the scaling. Two that say different things are refused: what runs would depend on the reader.
fn nested<'a>(fields: &Fields<'a>) -> Result<Option<Fields<'a>>> {
    let (new, old) = (fields.get("rope_parameters"), fields.get("rope_scaling"));
    let (place, value) = match (new, old) {
        (None, None) => return Ok(None),
        (Some(new), None) => ("rope_parameters", new),
        (None, Some(old)) => ("rope_scaling", old),
        (Some(new), Some(old)) if scaling_alone(new) == scaling_alone(old) => {
            ("rope_parameters", new)
        }
        (Some(_), Some(old)) => return Err(contradiction("rope_parameters", "rope_scaling", old)),
    };
    Fields::new(value, place).map(Some)
}

/// A description without what may also stand beside it, under one name for its type.
fn scaling_alone(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        for key in ["rope_theta", "partial_rotary_factor"] {
            object.remove(key);
        }
        if let Some(kind) = object.remove("type") {
            object.entry("rope_type").or_insert(kind);
        }
        object.retain(|_, value| !value.is_null());
        if object.is_empty() {
            object.insert("rope_type".to_owned(), "default".into());
        }
    }
    value
}

fn contradiction(new: &str, old: &str, value: &Value) -> Error {
    Error::Unsupported(format!(
        "`{new}` and `{old}: {}` contradict each other",
        short(value)
    ))
    .hint("keep in `config.json` the one that the model was trained with")
}

/// A number that may stand in the description or beside it, but not differently in both.
fn one_number(fields: &Fields<'_>, nested: Option<&Fields<'_>>, key: &str) -> Result<Option<f64>> {
    let beside = fields.number(key)?;
    let within = match nested {
        Some(nested) => nested.number(key)?,
        None => None,
    };
    match (within, beside, nested) {
        (Some(within), Some(beside), Some(nested)) if within != beside => {
            Err(Error::Unsupported(format!(
                "`{}: {within}` and `{key}: {beside}` contradict each other",
                nested.name(key)
            ))
            .hint(
                "keep in `config.json` the one that the \
                 model was trained with",
            ))
        }
        (within, beside, _) => Ok(within.or(beside)),
    }
}

fn described(
    nested: Option<&Fields<'_>>,
    (theta, partial, original): (f64, f64, Option<f64>),
    context: &Context,
) -> Result<Rope> {
    if !(theta.is_finite() && theta > 0.0) {
        return Err(Error::Config(format!(
            "`rope_theta` {theta} has to be above 0"
        )));
    }
    if partial != 1.0 && !context.partial_is_read {
        return Err(Error::Unsupported(format!(
            "`partial_rotary_factor: {partial}`, which transformers does not read for this architecture"
        )));
    }
    let width = (context.head_dim as f64 * partial) as usize;
    if width == 0 || width > context.head_dim || !width.is_multiple_of(2) {
        return Err(Error::Unsupported(format!(
            "`partial_rotary_factor: {partial}` of heads {} wide",
            context.head_dim
        )));
    }
    let scaling = match nested {
        None => RopeScaling::None,
        Some(nested) => {
            let original = match original {
                None => context.original,
                Some(n) if n >= 1.0 && n.fract() == 0.0 => n as usize,
                Some(n) => {
                    return Err(Error::Config(format!(
                        "`original_max_position_embeddings` {n} is no number of tokens"
                    )));
                }
            };
            let scaling = scaling(nested, original, width, context)?;
            nested.all_read(&format!("rope type {}", kind(nested)?))?;
            scaling
        }
    };
    Ok(Rope {
        theta,
        width,
        interleaved: context.interleaved,
        scaling,
    })
}

fn kind<'a>(nested: &Fields<'a>) -> Result<&'a str> {
    match (nested.text("rope_type")?, nested.text("type")?) {
        (Some(new), Some(old)) if new != old => Err(Error::Unsupported(format!(
            "`{}: {new}` and `{}: {old}` contradict each other",
            nested.name("rope_type"),
            nested.name("type")
        ))),
        (new, old) => Ok(new.or(old).unwrap_or("default")),
    }
}

/// By how much a context is stretched; less than 1 would shrink it.
fn factor(nested: &Fields<'_>) -> Result<Option<f64>> {
    match nested.positive("factor")? {
        Some(factor) if factor < 1.0 => Err(Error::Config(format!(
            "`{}` {factor} has to be 1 or more",
            nested.name("factor")
        ))),
        factor => Ok(factor),
    }
}

fn scaling(
    nested: &Fields<'_>,
    original: usize,
    width: usize,
    context: &Context,
) -> Result<RopeScaling> {
    let given_factor = || factor(nested)?.ok_or_else(|| nested.missing("factor"));
    let stretched = || -> Result<f64> {
        Ok(factor(nested)?.unwrap_or(context.positions as f64 / original as f64))
    };
    match kind(nested)? {
        "default" => {
            // What transformers 5 carries along and does not look at.
            nested.number("factor")?;
            Ok(RopeScaling::None)
        }
        "linear" => Ok(RopeScaling::Linear {
            factor: given_factor()?,
        }),
        "dynamic" => {
            let factor = given_factor()?;
            let longest = context.positions as f64 * factor;
            positions::check(&nested.name("factor"), longest)
                .map_err(|why| Error::Config(why.reason).maybe_hint(why.help))?;
            Ok(RopeScaling::Dynamic {
                factor,
                original: context.positions,
            })
        }
        "llama3" => {
            let low = nested.required_positive("low_freq_factor")?;
            let high = nested.required_positive("high_freq_factor")?;
            if high <= low {
                return Err(Error::Config(format!(
                    "`{}` {high} has to be above `low_freq_factor` {low}",
                    nested.name("high_freq_factor")
                )));
            }
            Ok(RopeScaling::Llama3 {
                factor: given_factor()?,
                low,
                high,
                original,
            })
        }
        "yarn" => {
            let factor = stretched()?;
            let weight = |scale: f64| match factor {
                factor if factor <= 1.0 => 1.0,
                factor => 0.1 * scale * factor.ln() + 1.0,
            };
            // Zero is read as absent.
            let given = |key: &str| match nested.number(key)? {
                Some(0.0) => Ok(None),
                _ => nested.positive(key),
            };
            let scales = given("mscale")?.zip(given("mscale_all_dim")?);
            let attention_factor = match (nested.positive("attention_factor")?, scales) {
                (Some(given), _) => given,
                (None, Some((own, all))) => weight(own) / weight(all),
                (None, None) => weight(1.0),
            };
            Ok(RopeScaling::Yarn {
                factor,
                original,
                beta_fast: given("beta_fast")?.unwrap_or(32.0),
                beta_slow: given("beta_slow")?.unwrap_or(1.0),
                attention_factor,
                truncate: nested.flag("truncate", true)?,
            })
        }
        "longrope" | "su" => {
            let factor = stretched()?;
            let attention_factor = match nested.positive("attention_factor")? {
                Some(given) => given,
                None if factor <= 1.0 => 1.0,
                None => (1.0 + factor.ln() / (original as f64).ln()).sqrt(),
            };
            let divisors = |key: &str| -> Result<Vec<f64>> {
                let divisors = nested.required_numbers(key)?;
                if divisors.len() != width / 2 {
                    return Err(Error::Config(format!(
                        "`{}` has {} numbers, and {} frequencies need one each",
                        nested.name(key),
                        divisors.len(),
                        width / 2
                    )));
                }
                match divisors.iter().find(|divisor| **divisor <= 0.0) {
                    Some(divisor) => Err(Error::Config(format!(
                        "`{}` has the divisor {divisor}, and divisors are above 0",
                        nested.name(key)
                    ))),
                    None => Ok(divisors),
                }
            };
            Ok(RopeScaling::Long {
                short: divisors("short_factor")?,
                long: divisors("long_factor")?,
                attention_factor,
                original,
            })
        }
        other => Err(Error::Unsupported(format!("rope type `{other}`"))
            .hint("default, linear, dynamic, yarn, llama3 and longrope work")),
    }
}
