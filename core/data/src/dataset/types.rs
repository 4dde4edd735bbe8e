//! Declared types of columns: cells of text tables are text until somebody says what they are.

use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_spec::spec::ColumnType;
use indexmap::IndexMap;
use serde_json::Value;

use super::{DatasetError, Row, names};
use crate::dataset::access::row_error;

/// Gives the declared columns their types.
///
/// # Errors
/// When a column is not there, or a cell is not of its type; the message names both and the row.
pub fn typed(
    path: &Path,
    rows: &mut [Row],
    types: &IndexMap<String, ColumnType>,
) -> Result<(), DatasetError> {
    for (column, wanted) in types {
        for (index, row) in rows.iter_mut().enumerate() {
            if !row.columns.contains_key(column) {
                let known = names(&row.columns);
                return Err(row_error(
                    path,
                    index + 1,
                    Problem::failed(format!(
                        "`types` names the column `{column}`, which is not there"
                    ))
                    .help(format!("columns are {known}")),
                ));
            }
            let cell = &mut row.columns[column];
            *cell = of_type(cell, *wanted).ok_or_else(|| {
                row_error(
                    path,
                    index + 1,
                    Problem::failed(format!(
                        "column `{column}` holds {}, which is no {}",
                        shown(cell),
                        wanted.as_str()
                    ))
                    .help(hint(*wanted)),
                )
            })?;
        }
    }
    Ok(())
}

fn hint(wanted: ColumnType) -> &'static str {
    match wanted {
        ColumnType::Text => "texts, numbers and truth values are taken as text",
        ColumnType::Int => "whole numbers are, and empty cells, which are null",
        ColumnType::Float => "numbers are, and empty cells, which are null",
        ColumnType::Bool => {
            "`true`, `false`, `yes`, `no`, 1 and 0 are, and empty cells, which are null"
        }
        ColumnType::List => {
            "lists as JSON or Python writes them are, as `[\"a\", \"b\"]`; numpy leaves the commas out"
        }
    }
}

/// The start of a value, for messages.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

fn of_type(cell: &Value, wanted: ColumnType) -> Option<Value> {
    let text = cell.as_str().map(str::trim);
    let is_nothing = cell.is_null() || (text == Some("") && wanted != ColumnType::Text);
    if is_nothing {
        return Some(Value::Null);
    }
    match wanted {
        ColumnType::Text => driftgauge_record::value::scalar_text(cell).map(Value::from),
        ColumnType::Int => match cell {
            Value::Number(number) => whole(number.as_f64()?, cell),
            _ => integer(text?),
        },
        ColumnType::Float => match cell {
            Value::Number(_) => Some(cell.clone()),
            _ if is_not_a_number(text?) => Some(Value::Null),
            _ => {
                let number: f64 = text?.parse().ok()?;
                number.is_finite().then(|| number.into())
            }
        },
        ColumnType::Bool => match cell {
            Value::Bool(_) => Some(cell.clone()),
            Value::Number(number) => match number.as_f64()? {
                0.0 => Some(false.into()),
                1.0 => Some(true.into()),
                _ => None,
            },
            _ => truth(text?).map(Value::from),
        },
        ColumnType::List => match cell {
            Value::Array(_) => Some(cell.clone()),
            _ => list(text?),
        },
    }
}

/// What a text says of true and false; `None` where it says something else.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "1.0" => Some(true),
        "false" | "no" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

/// How programs write that there is no number.
fn is_not_a_number(text: &str) -> bool {
    ["nan", "na", "n/a", "null", "none"].contains(&text.to_ascii_lowercase().as_str())
}

fn integer(text: &str) -> Option<Value> {
    if is_not_a_number(text) {
        return Some(Value::Null);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // Too large for 64 bits: its digits stand for it.
        return Some(text.into());
    }
    // Columns with gaps are written as 3.0 by programs whose integers know no gap.
    whole(text.parse().ok()?, &Value::Null)
}

/// A whole number as an integer; one that is an integer already as it is.
fn whole(number: f64, written: &Value) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if written.is_i64() || written.is_u64() {
        return Some(written.clone());
    }
    // Whole and below 2^53, so nothing is lost.
    #[expect(clippy::cast_possible_truncation)]
    let is_whole = (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64);
    is_whole.map(Value::from)
}

/// A list written as JSON, or as Python writes lists of texts, numbers, truth values and None.
fn list(text: &str) -> Option<Value> {
    if let Ok(read) = super::json::parse(text)
        && read.value.is_array()
    {
        return Some(read.value);
    }
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (item, after) = item(rest)?;
        items.push(item);
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(items.into())
}

/// The first item of a Python list, and what stands behind it.
fn item(text: &str) -> Option<(Value, &str)> {
    let quote = text.chars().next()?;
    if quote != '\'' && quote != '"' {
        let end = text.find(',').unwrap_or(text.len());
        let value = match text[..end].trim() {
            "None" => Value::Null,
            "True" => true.into(),
            "False" => false.into(),
            word => serde_json::from_str::<serde_json::Number>(word)
                .ok()?
                .into(),
        };
        return Some((value, &text[end..]));
    }
    let mut said = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => return Some((said.into(), &text[at + 1..])),
            '\\' => said.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                c @ ('\\' | '\'' | '"') => c,
                _ => return None,
            }),
            _ => said.push(c),
        }
    }
    None
}

/// Whether a text is a list that a program wrote as text, as pandas does for cells of CSV files.
#[must_use]
pub fn is_written_list(text: &str) -> bool {
    let text = text.trim();
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inside.is_some_and(|inside| {
        let inside = inside.trim_start();
        inside.is_empty() || inside.starts_with(['\'', '"']) || list(text).is_some()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_of_text_become_what_they_are_said_to_be() {
        use ColumnType::{Bool, Float, Int, List, Text};
        for (cell, wanted, value) in [
            (json!(" 7 "), Int, Some(json!(7))),
            (json!("-7"), Int, Some(json!(-7))),
            (json!("3.0"), Int, Some(json!(3))),
            (json!(3.0), Int, Some(json!(3))),
            (json!("3.5"), Int, None),
            (json!(""), Int, Some(Value::Null)),
            (json!("seven"), Int, None),
            (json!(true), Int, None),
            (json!("18446744073709551615"), Int, Some(json!(u64::MAX))),
            (
                json!("18446744073709551616"),
                Int,
                Some(json!("18446744073709551616")),
            ),
            (json!("1e-3"), Float, Some(json!(0.001))),
            (json!("NaN"), Float, Some(Value::Null)),
            (json!("inf"), Float, None),
            (json!(2), Float, Some(json!(2))),
            (json!("False"), Bool, Some(json!(false))),
            (json!("yes"), Bool, Some(json!(true))),
            (json!(0), Bool, Some(json!(false))),
            (json!("maybe"), Bool, None),
            (json!(2), Bool, None),
            (json!(1.5), Text, Some(json!("1.5"))),
            (json!(""), Text, Some(json!(""))),
            (json!([1]), Text, None),
            (json!("[\"a\", 1]"), List, Some(json!(["a", 1]))),
            (
                json!("['it\\'s', \"b\", None, -2, True,]"),
                List,
                Some(json!(["it's", "b", null, -2, true])),
            ),
            (json!("[]"), List, Some(json!([]))),
            (json!("['a' 'b']"), List, None),
            (json!("a, b"), List, None),
        ] {
            assert_eq!(of_type(&cell, wanted), value, "{cell} as {wanted:?}");
        }
    }

    #[test]
    fn what_is_of_another_type_is_named() {
        let mut rows = [
            Row {
                id: "0".to_owned(),
                columns: [("score".to_owned(), json!("3"))].into_iter().collect(),
            },
            Row {
                id: "1".to_owned(),
                columns: [("score".to_owned(), json!("x"))].into_iter().collect(),
            },
        ];
        let types = |column: &str| {
            let types: IndexMap<_, _> =
                [(column.to_owned(), ColumnType::Int)].into_iter().collect();
            types
        };
        let error = typed(Path::new("d.csv"), &mut rows, &types("score")).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("`d.csv`, row 2: "), "{said}");
        assert!(
            said.contains("column `score` holds `\"x\"`, which is no int"),
            "{said}"
        );
        let error = typed(Path::new("d.csv"), &mut rows, &types("skore")).unwrap_err();
        let said = Problem::from(error).to_string();
        assert!(
            said.contains("`skore`, which is not there") && said.contains("columns are `score`"),
            "{said}"
        );
    }

    #[test]
    fn lists_that_pandas_wrote_are_told_from_texts() {
        for text in ["['a', 'b']", "[\"a\"]", " ['a' 'b'] ", "[1, 2]", "[]"] {
            assert!(is_written_list(text), "{text}");
        }
        for text in ["[sic]", "a", "[see note] and [2]", "[1"] {
            assert!(!is_written_list(text), "{text}");
        }
    }

    #[test]
    fn every_type_takes_what_its_hint_says() {
        use ColumnType::{Bool, Float, Int, List, Text};
        for (cell, wanted, value) in [
            (json!(true), Text, Some(json!("true"))),
            (json!(""), Text, Some(json!(""))),
            (json!([1]), Text, None),
            (json!(true), Bool, Some(json!(true))),
            (json!(1), Bool, Some(json!(true))),
            (json!(2), Bool, None),
            (json!([1]), List, Some(json!([1]))),
            (
                json!(-9_007_199_254_740_993_i64),
                Int,
                Some(json!(-9_007_199_254_740_993_i64)),
            ),
            (json!(u64::MAX), Int, Some(json!(u64::MAX))),
            // 2^53 may stand for 2^53 + 1.
            (json!(9_007_199_254_740_992.0), Int, None),
            (json!(2.5), Int, None),
            (json!("2.5"), Float, Some(json!(2.5))),
            (
                json!("['a', None, True, False, 2]"),
                List,
                Some(json!(["a", null, true, false, 2])),
            ),
            (json!("[1, 2, ]x"), List, None),
            (json!("[None]"), List, Some(json!([null]))),
            (json!("[True]"), List, Some(json!([true]))),
            (json!("['a']"), List, Some(json!(["a"]))),
            (json!("['a' 'b']"), List, None),
            (json!("['it\\'s\\n']"), List, Some(json!(["it's\n"]))),
            (json!("['a\\tb\\rc']"), List, Some(json!(["a\tb\rc"]))),
        ] {
            assert_eq!(of_type(&cell, wanted), value, "{cell} as {wanted:?}");
        }
        for (wanted, says) in [
            (Text, "taken as text"),
            (Int, "whole numbers"),
            (Float, "numbers are"),
            (Bool, "`yes`, `no`"),
            (List, "Python"),
        ] {
            assert!(hint(wanted).contains(says), "{wanted:?}");
        }
        let rows = |cells: &[Value]| -> Vec<Row> {
            let row = |cell: &Value| Row {
                id: String::new(),
                columns: [("x".to_owned(), cell.clone())].into_iter().collect(),
            };
            cells.iter().map(row).collect()
        };
        let types = [("x".to_owned(), Int)].into_iter().collect();
        let mut wrong = rows(&[json!("1"), json!("one")]);
        let said = typed(Path::new("f.csv"), &mut wrong, &types)
            .unwrap_err()
            .to_string();
        assert!(said.starts_with("`f.csv`, row 2: "), "{said}");
        let types = [("y".to_owned(), Int)].into_iter().collect();
        let said = typed(Path::new("f.csv"), &mut wrong, &types)
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("`f.csv`, row 1: ") && said.contains("`y`, which is not there"),
            "{said}"
        );
    }
}
