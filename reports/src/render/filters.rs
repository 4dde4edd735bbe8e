//! What the templates may do with values: numbers become text here, and charts drawings.

use driftgauge_record::{visible, visible_line};
use minijinja::value::{Kwargs, ViaDeserialize};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::kept::{beginning, kept};
use crate::charts::{self, escape};
use crate::model::Figure;
use crate::numbers;

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("num", |value: Value, unit: &str| {
        number(&value, |x| numbers::value(x, unit))
    });
    environment.add_filter("diff", |value: Value, unit: &str| {
        number(&value, |x| numbers::difference(x, unit))
    });
    environment.add_filter("printed", |value: Value, unit: &str, difference: bool| {
        number(&value, |x| numbers::published(x, unit, difference))
    });
    environment.add_filter("plain", |value: Value| number(&value, numbers::plain));
    environment.add_filter("p", |value: Value, is_bound: bool| {
        number(&value, |p| numbers::p_value(p, is_bound))
    });
    environment.add_filter("level", |value: Value| number(&value, numbers::level));
    environment.add_filter("count", |value: u64| numbers::count(value));
    environment.add_filter("v", sort_key);
    environment.add_filter("visible", |text: &str| visible(text).into_owned());
    environment.add_filter("name", |text: &str| visible_line(text).into_owned());
    environment.add_filter("cell_name", |text: &str| {
        Value::from_safe_string(cell_name(text))
    });
    environment.add_filter("prose", |text: &str| Value::from_safe_string(prose(text)));
    environment.add_filter("test", test_name);
    environment.add_filter("bounds", |ci: Value, unit: &str, options: Kwargs| {
        bounds(&ci, unit, &options)
    });
    environment.add_filter("kept", |rows: Value, most: usize| kept(&rows, most));
    environment.add_filter("beginning", |text: &str, most: usize, place: &str| {
        beginning(text, most, place)
    });
    environment.add_filter("tall", |rows: Value| {
        tall(rows.try_iter().map_or(0, Iterator::count))
    });
    environment.add_filter("part", |text: &str| url_part(text));
    environment.add_filter("cell", cell);
    environment.add_filter("effect", effect);
    environment.add_filter("draw", |figure: ViaDeserialize<Figure>, options: Kwargs| {
        draw(&figure.0, &options)
    });
    environment.add_filter("legend", |figure: ViaDeserialize<Figure>| legend(&figure.0));
}

/// The attribute that rows are sorted by: the number itself, as long as it is one.
fn sort_key(value: Value) -> Value {
    let number = f64::try_from(value).ok().filter(|x| x.is_finite());
    let text = number.map_or_else(String::new, |x| format!(" data-v=\"{x}\""));
    Value::from_safe_string(text)
}

/// The classes of a table that scrolls within the page, and of which paper has the beginning.
fn tall(rows: usize) -> &'static str {
    match rows {
        0..=60 => "",
        61..=100 => " tall",
        _ => " tall cut",
    }
}

/// A name as a part of an address, as the page's script reads it.
fn url_part(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A chart, drawn for its place: a row of its own, a row of two, or one of several.
fn draw(figure: &Figure, options: &Kwargs) -> Result<Value, Error> {
    let wide: Option<bool> = options.get("wide")?;
    options.assert_all_used()?;
    let widths: &[u32] = if wide == Some(true) {
        &[charts::NARROW, charts::MIDDLE, charts::WIDE]
    } else {
        &[charts::NARROW, charts::MIDDLE]
    };
    // A chart that cannot be drawn costs itself, never the page.
    let drawn = charts::inline(figure, widths)
        .unwrap_or_else(|error| format!("<p class=\"small\">{}</p>", escape(&error.to_string())));
    Ok(Value::from_safe_string(drawn))
}

/// The keys of a chart's series; empty where the chart names them itself.
fn legend(figure: &Figure) -> Value {
    let keys = charts::keys(figure)
        .into_iter()
        .map(|(style, name)| format!("<span>{}{}</span>", charts::key(style), escape(&name)));
    Value::from_safe_string(keys.collect())
}

/// A word and an arrow for what a difference amounts to: colour only repeats it.
fn effect(word: &str) -> &'static str {
    match word {
        "better" => "✓ better",
        "worse" => "✗ worse",
        "higher" => "▲ higher",
        "lower" => "▼ lower",
        _ => "– no clear difference",
    }
}

/// Characters of a coordinate that is kept on one line.
const TOGETHER: usize = 24;

/// The name of a cell of a sweep, which a line breaks between its coordinates and not at the sign of an exponent.
fn cell_name(name: &str) -> String {
    let name = visible_line(name);
    let (id, coordinates) = name.split_once('@').unwrap_or((&name, ""));
    if coordinates.is_empty() {
        return escape(&name);
    }
    let mut out = format!("{}@", escape(id));
    for (place, part) in coordinates.split_inclusive(',').enumerate() {
        if place > 0 {
            out.push_str("<wbr>");
        }
        let class = if part.chars().count() <= TOGETHER {
            " class=\"together\""
        } else {
            ""
        };
        out.push_str(&format!("<span{class}>{}</span>", escape(part)));
    }
    out
}

/// Text with its `names` set as code, everything escaped.
fn prose(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    // An odd backtick stands for itself.
    if pieces.len().is_multiple_of(2) {
        return escape(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (index, piece) in pieces.into_iter().enumerate() {
        if index % 2 == 0 {
            out.push_str(&escape(piece));
        } else {
            out.push_str(&format!("<code>{}</code>", cell_name(piece)));
        }
    }
    out
}

/// The name of a test as it is called in print.
fn test_name(name: &str) -> String {
    match name {
        "mcnemar-exact" => "exact McNemar".to_owned(),
        "welch-t" => "Welch's t".to_owned(),
        "sign-flip-permutation" => "sign-flip permutation".to_owned(),
        "cluster-sign-flip-permutation" => "sign-flip permutation of clusters".to_owned(),
        "paired-bootstrap" => "paired bootstrap".to_owned(),
        other => other.replace('-', " "),
    }
}

/// A number in words; a dash where it is undefined.
fn number(value: &Value, show: impl Fn(f64) -> String) -> String {
    f64::try_from(value.clone()).map_or_else(|_| "–".to_owned(), show)
}

/// The bounds of an interval object; empty without one.
fn bounds(ci: &Value, unit: &str, options: &Kwargs) -> Result<String, Error> {
    options.assert_all_used()?;
    let get = |name: &str| {
        ci.get_attr(name)
            .ok()
            .and_then(|bound| f64::try_from(bound).ok())
    };
    Ok(match (get("low"), get("high")) {
        (Some(low), Some(high)) => numbers::bounds(low, high, unit),
        _ => String::new(),
    })
}

/// A cell of a plugin's table.
fn cell(value: Value) -> Result<String, Error> {
    if value.is_none() {
        return Ok("–".to_owned());
    }
    if let Some(text) = value.as_str() {
        return Ok(visible(text).into_owned());
    }
    if let Ok(whole) = i64::try_from(value.clone()) {
        return Ok(whole.to_string());
    }
    f64::try_from(value.clone())
        .map(numbers::plain)
        .or_else(|_| Ok::<_, Error>(value.to_string()))
        .map_err(|error: Error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_prose_become_code_and_markup_stays_text() {
        assert_eq!(prose("of `a<b` & c"), "of <code>a&lt;b</code> &amp; c");
        assert_eq!(prose("it`s"), "it`s");
    }

    #[test]
    fn names_of_cells_break_between_their_coordinates() {
        assert_eq!(cell_name("a<b"), "a&lt;b");
        assert_eq!(
            cell_name("m@lr=1.0e-5,seed=<2"),
            "m@<span class=\"together\">lr=1.0e-5,</span><wbr><span class=\"together\">seed=&lt;2</span>"
        );
        let long = format!("m@x={}", "y".repeat(300));
        assert!(!cell_name(&long).contains("together"));
    }

    #[test]
    fn rows_are_sorted_by_the_number_itself() {
        let key = |value: Value| sort_key(value).to_string();
        assert_eq!(key(Value::from(4.1e-5)), " data-v=\"0.000041\"");
        assert_eq!(key(Value::from(12)), " data-v=\"12\"");
        assert_eq!(key(Value::from("x")), "");
        assert_eq!(key(Value::from(())), "");
    }
}
