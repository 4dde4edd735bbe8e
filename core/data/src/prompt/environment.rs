//! What expressions over rows may do: compare what can be compared, and take for true or false only what says so.

use std::cmp::Ordering;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value, filters};

use driftgauge_record::value::rounded;

use super::absent::{is_absent, plain};
use super::bounded;
use super::typed::{COMPARE, CONDITION};
use crate::dataset::truth;

/// An environment in which undefined names and mixed types are errors.
pub(super) fn strict() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_function(COMPARE, compare);
    environment.add_function(CONDITION, condition);
    environment.add_test("none", |value: &Value| is_absent(value));
    for (names, operator) in [
        (["eq", "equalto", "=="], "=="),
        (["ne", "ne", "!="], "!="),
        (["lt", "lessthan", "<"], "<"),
        (["le", "le", "<="], "<="),
        (["gt", "greaterthan", ">"], ">"),
        (["ge", "ge", ">="], ">="),
        (["in", "in", "in"], "in"),
    ] {
        for name in names {
            environment.add_test(name, move |a: Value, b: Value| {
                compare(operator, a, b, "the value", "the other")
            });
        }
    }
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("bool", to_bool);
    environment.add_filter("int", |state: &State, value: &Value| {
        there(value)?;
        filters::int(state, value)
    });
    environment.add_filter("float", |state: &State, value: &Value| {
        there(value)?;
        filters::float(state, value)
    });
    environment.add_filter("round", round);
    environment.add_filter(
        "tojson",
        |value: &Value, indent: Option<Value>, options: minijinja::value::Kwargs| {
            filters::tojson(&plain(value), indent, options)
        },
    );
    bounded::set_up(&mut environment);
    environment
}

/// What to do about an error, as its source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Advice(pub(super) String);

fn wrong(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

fn advised(problem: String, hint: String) -> Error {
    wrong(problem).with_source(Advice(hint))
}

fn there(value: &Value) -> Result<(), Error> {
    match is_absent(value) {
        true => Err(wrong("null is no number".to_owned())),
        false => Ok(()),
    }
}

fn default(value: Value, other: Option<Value>, boolean: Option<bool>) -> Value {
    let is_absent = value.is_undefined() || is_absent(&value);
    match is_absent || (boolean == Some(true) && !value.is_true()) {
        true => other.unwrap_or_else(|| Value::from("")),
        false => value,
    }
}

/// As Jinja has it; minijinja's own rounds halves away from zero.
fn round(value: &Value, places: Option<i32>, method: Option<String>) -> Result<Value, Error> {
    there(value)?;
    if value.is_integer() {
        return Ok(value.clone());
    }
    let number = match value.is_number() {
        true => f64::try_from(value.clone())?,
        false => {
            return Err(wrong(format!(
                "{} is no number to be rounded",
                shown(value)
            )));
        }
    };
    let places = places.unwrap_or(0);
    let scale = 10_f64.powi(places);
    Ok(Value::from(match method.as_deref() {
        None | Some("common") => rounded(number, places),
        Some("ceil") => (number * scale).ceil() / scale,
        Some("floor") => (number * scale).floor() / scale,
        Some(other) => return Err(wrong(format!("there is no way `{other}` to round"))),
    }))
}

fn to_bool(value: &Value) -> Result<bool, Error> {
    match value.as_str() {
        Some(text) => truth(text).ok_or_else(|| {
            wrong(format!(
                "the text {} is neither true nor false",
                shown(value)
            ))
        }),
        None => Ok(value.is_true()),
    }
}

/// What a value is, where that matters for comparing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Null,
    Bool,
    Number,
    Text,
    Other,
}

fn sort(value: &Value) -> Sort {
    match value.kind() {
        _ if is_absent(value) => Sort::Null,
        ValueKind::Bool => Sort::Bool,
        ValueKind::Number => Sort::Number,
        ValueKind::String => Sort::Text,
        _ => Sort::Other,
    }
}

/// A value with what it is, for messages.
fn told(value: &Value, words: &str) -> String {
    let named = ["true", "false", "True", "False"].contains(&words);
    let literal = named || words.starts_with(['"', '\'']) || words.parse::<f64>().is_ok();
    let name = match literal {
        true => words.to_owned(),
        false => format!("{words} ({})", shown(value)),
    };
    match sort(value) {
        Sort::Null => format!("`{words}` is null"),
        Sort::Bool => format!("`{name}` is a truth value"),
        Sort::Number => format!("`{name}` is a number"),
        Sort::Text => format!("`{name}` is text"),
        Sort::Other => format!("`{words}` is a {}", value.kind()),
    }
}

/// The start of a value.
fn shown(value: &Value) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn conversion(words: &str, of: Sort) -> String {
    let (filter, word) = match of {
        Sort::Bool => ("bool", "bool"),
        _ => ("int", "int"),
    };
    let name = words.split(['|', '[', '(']).next().unwrap_or(words).trim();
    format!("write `{words} | {filter}`, or give the dataset `types: {{{name}: {word}}}`")
}

/// Compares two values of one kind. `a` and `b` are the words of the expression that they come from.
fn compare(operator: &str, left: Value, right: Value, a: &str, b: &str) -> Result<bool, Error> {
    for (value, words) in [(&left, a), (&right, b)] {
        if value.is_undefined() {
            let problem = format!("`{words}` is not defined");
            return Err(Error::new(ErrorKind::UndefinedError, problem));
        }
    }
    if operator.ends_with("in") {
        return contained(left, &right, a, b).map(|is_in| is_in == (operator == "in"));
    }
    let (one, two) = (sort(&left), sort(&right));
    let is_equality = matches!(operator, "==" | "!=");
    let alike = one == two || (is_equality && (one == Sort::Null || two == Sort::Null));
    if !alike || (one == Sort::Null && !is_equality) {
        let hint = match (one, two) {
            (Sort::Null, _) | (_, Sort::Null) => {
                let words = if one == Sort::Null { a } else { b };
                format!(
                    "null is neither more nor less than anything: write `{words} is not none and ...` before it"
                )
            }
            (Sort::Text, other) => conversion(a, other),
            (other, Sort::Text) => conversion(b, other),
            _ => "compare values of one type".to_owned(),
        };
        return Err(advised(
            format!(
                "{} and {}, which cannot be compared by `{operator}`",
                told(&left, a),
                told(&right, b)
            ),
            hint,
        ));
    }
    let is_number = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        text.trim().parse::<f64>().is_ok()
    };
    if !is_equality && one == Sort::Text && is_number(&left) && is_number(&right) {
        return Err(advised(
            format!(
                "{} and {}, which `{operator}` would put in the order of letters: \"10\" before \"9\"",
                told(&left, a),
                told(&right, b)
            ),
            conversion(if is_literal(a) { b } else { a }, Sort::Number),
        ));
    }
    let equal = match (one, two) {
        (Sort::Null, Sort::Null) => true,
        (Sort::Null, _) | (_, Sort::Null) => false,
        _ => left == right,
    };
    Ok(match operator {
        "==" => equal,
        "!=" => !equal,
        _ => {
            let order = left.cmp(&right);
            match operator {
                "<" => order == Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
        }
    })
}

/// Whether a value is in a list, a text or a map.
fn contained(value: Value, within: &Value, a: &str, b: &str) -> Result<bool, Error> {
    let kind = sort(&value);
    match within.kind() {
        ValueKind::String => match value.as_str() {
            Some(part) => Ok(within.as_str().unwrap_or_default().contains(part)),
            None => Err(wrong(format!(
                "{} and {}: only text is in a text",
                told(&value, a),
                told(within, b)
            ))),
        },
        ValueKind::Map => Ok(within
            .get_item(&value)
            .is_ok_and(|found| !found.is_undefined())),
        _ if is_absent(within) => Err(wrong(format!("`{b}` is null: nothing can be in it"))),
        _ => {
            let items: Vec<Value> = within
                .try_iter()
                .map_err(|_| wrong(format!("{}, which holds nothing", told(within, b))))?
                .collect();
            let comparable =
                |item: &&Value| kind == Sort::Null || [kind, Sort::Null].contains(&sort(item));
            if let Some(other) = items.iter().find(|item| !comparable(item)) {
                let words = if sort(other) == Sort::Text { b } else { a };
                let hint = match kind == Sort::Text || sort(other) == Sort::Text {
                    true => conversion(
                        words,
                        if kind == Sort::Text {
                            sort(other)
                        } else {
                            kind
                        },
                    ),
                    false => "compare values of one type".to_owned(),
                };
                return Err(advised(
                    format!(
                        "{} and `{b}` holds {}, which cannot be compared",
                        told(&value, a),
                        shown(other)
                    ),
                    hint,
                ));
            }
            Ok(items
                .iter()
                .any(|item| *item == value || (is_absent(item) && kind == Sort::Null)))
        }
    }
}

/// Whether words are one number, or one text in quotes.
fn is_literal(words: &str) -> bool {
    let quote = words.chars().next().filter(|c| matches!(c, '"' | '\''));
    let one = |quote: char| words.len() > 1 && words[1..].find(quote) == Some(words.len() - 2);
    words.parse::<f64>().is_ok() || quote.is_some_and(one)
}

/// What is wrong with a number or text that stands as a condition.
pub(super) fn same_of_every_row(words: &str) -> Error {
    advised(
        format!("`{words}` stands as a condition, and says the same of every row"),
        format!("compare something with it: `column == {words}`, also behind `or` and `and`"),
    )
}

/// A value that stands as a condition. Texts that mean a value of another type, such as `False` or `0`, say the opposite of
/// what minijinja takes them for.
fn condition(value: Value, words: &str) -> Result<Value, Error> {
    if is_literal(words) {
        return Err(same_of_every_row(words));
    }
    if let Some(text) = value.as_str()
        && means_other(text)
    {
        let name = words.split(['|', '[', '(']).next().unwrap_or(words).trim();
        return Err(advised(
            format!(
                "`{words}` is the text {}, which stands as a condition",
                shown(&value)
            ),
            format!("write `{words} | bool`, or give the dataset `types: {{{name}: bool}}`"),
        ));
    }
    Ok(value)
}

fn means_other(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "true", "false", "yes", "no", "y", "n", "t", "f", "on", "off", "none", "null", "na",
    ];
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    // A number, also `nan` and `inf`.
    WORDS.contains(&lower.as_str()) || text.parse::<f64>().is_ok()
}

/// What a whole filter says of a row: true, false, a number or whether there is something in it.
pub(super) fn verdict(value: &Value, words: &str) -> Result<bool, Error> {
    match value.as_str() {
        Some(_) => Err(advised(
            format!(
                "`{words}` is the text {}, which is neither true nor false",
                shown(value)
            ),
            format!(
                "compare it, as in `{words} == \"...\"`, write `{words} | bool`, or give the dataset `types: {{{words}: bool}}`"
            ),
        )),
        None => Ok(value.is_true()),
    }
}
