//! How the native decoder rounds the weights of a model folder before it multiplies with them.

use std::collections::BTreeMap;

use driftgauge_problem::Problem;
use serde::Serialize;

use crate::training::BaseQuantization;

/// What becomes of the weights. Activations and sums are in f32 whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// They are taken as they are stored.
    #[default]
    None,
    /// `dtype: bf16`: every weight is rounded to bf16.
    Bf16,
    /// `quantization`: those of the linear modules are rounded to blocks, as `base_quantization` rounds them beside an adapter.
    Blocks(BaseQuantization),
}

impl Rounding {
    /// What a model's `quantization` and `dtype` ask for.
    ///
    /// # Errors
    /// When the native decoder does not compute that.
    pub fn of(quantization: Option<&str>, dtype: &str) -> Result<Self, Problem> {
        match (quantization, dtype) {
            (None, "auto" | "f32") => Ok(Self::None),
            (None, "bf16") => Ok(Self::Bf16),
            (Some(name), "auto" | "f32") => match BaseQuantization::named(name) {
                Some(format) => Ok(Self::Blocks(format)),
                None => {
                    let known = BaseQuantization::ALL.map(|format| format.to_string());
                    Err(refused(format!("`quantization: {name}`")).help(format!(
                        "the native decoder rounds to {}; or `engine: mistralrs`",
                        known.join(", ")
                    )))
                }
            },
            (Some(name), dtype) => Err(refused(format!(
                "`quantization: {name}` beside `dtype: {dtype}`"
            ))
            .help("leave one of them out: what is not in blocks stays as it is stored")),
            (None, dtype) => Err(refused(format!("`dtype: {dtype}`"))
                .help("`f32` or `bf16`, or `engine: mistralrs`")),
        }
    }

    /// Bytes of weights in memory, at most: of their shapes by name.
    #[must_use]
    pub fn bytes_of(self, shapes: &BTreeMap<String, Vec<u64>>) -> u64 {
        let bytes = shapes.iter().map(|(name, shape)| self.bytes(name, shape));
        bytes.sum()
    }

    /// Whether rows are whole numbers of blocks.
    ///
    /// # Errors
    /// With the weight whose rows are not.
    pub fn fits(self, shapes: &BTreeMap<String, Vec<u64>>) -> Result<(), Problem> {
        let Self::Blocks(format) = self else {
            return Ok(());
        };
        let (block, _) = format.block();
        let broken = |(name, shape): &(&String, &Vec<u64>)| matches!(shape[..], [_, row] if is_of_module(name) && !row.is_multiple_of(block));
        match shapes.iter().find(broken) {
            None => Ok(()),
            Some((name, shape)) => Err(refused(format!("`quantization: {format}`")).help(format!(
                "it has blocks of {block} weights, and a row of `{name}` has {}; `q8_0` and `q4_0` have blocks of 32",
                shape[1]
            ))),
        }
    }

    /// Bytes of one weight: rows of a matrix lie in whole panels.
    fn bytes(self, name: &str, shape: &[u64]) -> u64 {
        let [rows, row] = *shape else {
            return 4 * shape.iter().product::<u64>();
        };
        let numbers = rows.next_multiple_of(PANEL) * row;
        match self {
            Self::Bf16 => 2 * numbers,
            Self::Blocks(format) if is_of_module(name) => {
                let (block, bytes) = format.block();
                // Two blocks of a row share a word for their scales, and one for their offsets.
                let alone = row / block % 2 * 4 * rows.next_multiple_of(PANEL);
                numbers / block * bytes + alone
            }
            Self::None | Self::Blocks(_) => 4 * numbers,
        }
    }
}

/// Rows of a panel of the native decoder.
const PANEL: u64 = 32;

/// Whether a matrix belongs to a linear module: neither the embedding nor the head.
fn is_of_module(name: &str) -> bool {
    !matches!(name, "model.embed_tokens.weight" | "lm_head.weight")
}

fn refused(what: String) -> Problem {
    Problem::failed(format!("{what} with `engine: native`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let of = |quantization: Option<&str>, dtype: &str| {
            Rounding::of(quantization, dtype).map_err(|problem| problem.to_string())
        };
        assert_eq!(of(None, "auto"), Ok(Rounding::None));
        assert_eq!(of(None, "bf16"), Ok(Rounding::Bf16));
        for format in BaseQuantization::ALL {
            let name = format.to_string();
            assert_eq!(of(Some(&name), "f32"), Ok(Rounding::Blocks(format)));
        }
        for (quantization, dtype, said) in [
            (Some("hqq4"), "auto", "q4_0, q4k, q5k, q6k, q8_0"),
            (Some("q8_0"), "bf16", "leave one of them out"),
            (None, "f16", "`dtype: f16`"),
        ] {
            let error = of(quantization, dtype).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn bytes_are_those_of_the_formats() {
        let q8 = Rounding::Blocks(BaseQuantization::Q8_0);
        let q4 = Rounding::Blocks(BaseQuantization::Q4k);
        let module = "model.layers.0.mlp.up_proj.weight";
        for (rounding, name, shape, bytes) in [
            (q8, module, &[3_u64, 64][..], 32 * 2 * 34),
            (q4, module, &[64, 512], 64 * 2 * 148),
            (q4, "lm_head.weight", &[32, 512], 65536),
            (q8, "model.norm.weight", &[64], 256),
            (Rounding::Bf16, "lm_head.weight", &[33, 512], 65536),
            (Rounding::Bf16, "model.norm.weight", &[64], 256),
            (Rounding::None, module, &[3, 64], 8192),
        ] {
            assert_eq!(rounding.bytes(name, shape), bytes, "{rounding:?} {name}");
        }
    }

    #[test]
    fn rows_are_whole_blocks() {
        let q4k = Rounding::Blocks(BaseQuantization::Q4k);
        let shapes = |name: &str, row| BTreeMap::from([(name.to_owned(), vec![2, row])]);
        let module = "model.layers.0.mlp.up_proj.weight";
        for (rounding, name, row, fits) in [
            (q4k, module, 512, true),
            (q4k, "lm_head.weight", 64, true),
            (Rounding::Bf16, module, 63, true),
            (q4k, module, 64, false),
        ] {
            let found = rounding.fits(&shapes(name, row));
            assert_eq!(found.is_ok(), fits, "{rounding:?} {name} {row}");
        }
        let error = q4k.fits(&shapes(module, 64)).unwrap_err();
        assert!(error.help.is_some_and(|help| help.contains(module)));
    }
}
