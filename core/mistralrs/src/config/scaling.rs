//! The description of a scaling of positions: one, and with numbers that mistral.rs can divide by.

use driftgauge_problem::Problem;
use serde_json::{Map, Value};

use super::short;

/// A description as an object.
///
/// # Errors
/// When it is none.
pub(super) fn object(value: Value) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err("`rope_scaling` or `rope_parameters` is no object".into()),
    }
}

/// Of two descriptions the one, where they say the same.
///
/// # Errors
/// Where they do not.
pub(super) fn agreed(
    new: Map<String, Value>,
    old: &Map<String, Value>,
) -> Result<Map<String, Value>, Problem> {
    let plain = |scaling: &Map<String, Value>| {
        let mut scaling = scaling.clone();
        let typed = scaling.remove("type");
        if let Some(typed) = typed {
            scaling.entry("rope_type").or_insert(typed);
        }
        scaling.entry("rope_type").or_insert("default".into());
        scaling.retain(|key, value| {
            !value.is_null() && key != "rope_theta" && key != "partial_rotary_factor"
        });
        scaling
    };
    if plain(&new) == plain(old) {
        return Ok(new);
    }
    Err(Problem::failed(format!(
        "`rope_parameters` and `rope_scaling: {}` contradict each other",
        short(&Value::Object(old.clone()))
    ))
    .help(
        "keep in `config.json` the one that the model was \
         trained with",
    ))
}

/// Every number of a scaling, alone or in a list, is above 0, and the context is not shrunk.
///
/// # Errors
/// With the first that is not.
pub(super) fn numbers(scaling: &Map<String, Value>, place: &str) -> Result<(), Problem> {
    for (key, value) in scaling {
        let least = match key.as_str() {
            "factor" => 1.0,
            _ => f64::MIN_POSITIVE,
        };
        let found = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let small = |number: &&Value| number.as_f64().is_some_and(|number| number < least);
        if let Some(number) = found.iter().find(small) {
            let wanted = match key.as_str() {
                "factor" => "1 or more",
                _ => "above 0",
            };
            return Err(Problem::failed(format!(
                "`{place}.{key}` is {number}, and has to be {wanted}"
            ))
            .help("keep in `config.json` what the model was trained with"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_make_no_positions_are_refused() {
        let check = |scaling: Value| {
            let scaling = scaling.as_object().unwrap();
            numbers(scaling, "rope_scaling").map_err(|why| why.message)
        };
        for (scaling, sound) in [
            (
                json!({"factor": 8.0, "low_freq_factor": 1.0, "truncate": false}),
                true,
            ),
            (json!({"factor": 0}), false),
            (json!({"factor": -4.0}), false),
            (json!({"factor": 0.25}), false),
            (json!({"factor": 4.0, "beta_fast": -1}), false),
            (
                json!({"short_factor": [1.0, 1.5], "long_factor": [2.0, 0.0]}),
                false,
            ),
            (json!({"original_max_position_embeddings": 0}), false),
        ] {
            assert_eq!(check(scaling.clone()).is_ok(), sound, "{scaling}");
        }
    }
}
