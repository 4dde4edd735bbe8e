//! How long a sequence may be that a model says it reads: tables of positions are as long.

use crate::error::Refusal;

/// More tokens than any model reads.
pub const MOST: u64 = 1 << 24;

/// Whether a context is one that a model can have.
///
/// # Errors
/// With the key that says otherwise.
pub fn check(key: &str, tokens: f64) -> Result<(), Refusal> {
    match tokens {
        n if n >= 1.0 && n <= MOST as f64 => Ok(()),
        n => Err(Refusal::new(
            format!("`{key}` makes the model read {n} tokens, and 1 to {MOST} are understood"),
            "write the longest sequence that the model was trained for",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_that_no_model_has_are_refused() {
        for (tokens, sound) in [
            (1.0, true),
            (131_072.0, true),
            (4e9, false),
            (0.0, false),
            (-1.0, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(check("context_length", tokens).is_ok(), sound, "{tokens}");
        }
    }
}
