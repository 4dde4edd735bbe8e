//! Which rows of a long table stand on the page: those that tell something, then the first ones, all in their order.

use minijinja::Value;

/// At most `most` of the rows.
pub(super) fn kept(rows: &Value, most: usize) -> Value {
    let all: Vec<Value> = rows.try_iter().into_iter().flatten().collect();
    if all.len() <= most {
        return rows.clone();
    }
    let mut ranked: Vec<usize> = (0..all.len()).collect();
    ranked.sort_by_key(|&at| !tells(&all[at]));
    ranked.truncate(most);
    ranked.sort_unstable();
    ranked.into_iter().map(|at| all[at].clone()).collect()
}

/// Whether a row says that something failed, differs clearly, or contradicts what was published.
fn tells(row: &Value) -> bool {
    let get = |row: &Value, name: &str| row.get_attr(name).unwrap_or_default();
    let is = |name: &str, wanted: bool| get(row, name) == Value::from(wanted);
    let clear = |delta: &Value| {
        let effect = get(delta, "effect");
        effect.as_str().is_some_and(|effect| effect != "unclear")
    };
    let cells = get(row, "cells");
    let mut cells = cells.try_iter().into_iter().flatten();
    is("passed", false)
        || is("contradicted", true)
        || is("baseline", true)
        || get(row, "status").as_str() == Some("failed")
        || get(row, "errors")
            .as_usize()
            .is_some_and(|errors| errors > 0)
        || clear(row)
        || clear(&get(row, "delta"))
        || cells.any(|cell| clear(&get(&cell, "delta")))
}

/// The beginning of a text that is longer than the page has room for, and how much more there is.
pub(super) fn beginning(text: &str, most: usize, place: &str) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            let more = crate::numbers::count(text[end..].chars().count() as u64);
            format!("{} … [{more} more characters in {place}]", &text[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(rows: &serde_json::Value, most: usize) -> Vec<usize> {
        let kept = kept(&Value::from_serialize(rows), most);
        let rows = kept.try_iter().unwrap();
        rows.map(|row| row.get_attr("id").unwrap().as_usize().unwrap())
            .collect()
    }

    #[test]
    fn rows_that_tell_something_are_kept_before_the_first_ones() {
        let rows = json!([
            {"id": 0, "passed": true}, {"id": 1, "passed": true}, {"id": 2, "passed": false},
            {"id": 3, "cells": [null, {"delta": {"effect": "worse"}}]}, {"id": 4, "cells": [{"delta": {"effect": "unclear"}}]},
            {"id": 5, "effect": "higher"}, {"id": 6, "status": "failed"}, {"id": 7, "contradicted": true}, {"id": 8},
        ]);
        assert_eq!(ids(&rows, 9).len(), 9);
        assert_eq!(ids(&rows, 6), [0, 2, 3, 5, 6, 7]);
        assert_eq!(ids(&rows, 2), [2, 3]);
    }

    #[test]
    fn a_text_that_is_cut_says_how_much_more_there_is() {
        assert_eq!(beginning("äöü", 3, "spec.yaml"), "äöü");
        assert_eq!(
            beginning("äöü!", 1, "spec.yaml"),
            "ä … [3 more characters in spec.yaml]"
        );
    }
}
