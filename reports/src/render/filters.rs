//! What the templates may do with values: numbers become text here, and charts drawings.

use driftgauge_record::{visible, visible_line};
use minijinja::value::{Kwargs, ViaDeserialize};
use minijinja::{Environment, Error, ErrorKind, Value};

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
    environment.add_filter("prose", |text: &str| Value::from_safe_string(prose(text)));
    environment.add_filter("test", test_name);
    environment.add_filter("bounds", |ci: Value, unit: &str, options: Kwargs| {
        bounds(&ci, unit, &options)
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
    if !charts::needs_legend(&figure.chart) {
        return Value::from_safe_string(String::new());
    }
    let keys = figure.chart.series.iter().enumerate();
    let keys = keys.map(|(index, series)| {
        let style = figure.styles.get(index).copied().unwrap_or(index);
        format!(
            "<span>{}{}</span>",
            charts::key(style),
            escape(&series.name)
        )
    });
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

/// Text with its `names` set as code, everything escaped.
fn prose(text: &str) -> String {
    let text = escape(text);
    let pieces: Vec<&str> = text.split('`').collect();
    // An odd backtick stands for itself.
    if pieces.len().is_multiple_of(2) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (index, piece) in pieces.into_iter().enumerate() {
        if index % 2 == 0 {
            out.push_str(piece);
        } else {
            out.push_str(&format!("<code>{piece}</code>"));
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
    fn rows_are_sorted_by_the_number_itself() {
        let key = |value: Value| sort_key(value).to_string();
        assert_eq!(key(Value::from(4.1e-5)), " data-v=\"0.000041\"");
        assert_eq!(key(Value::from(12)), " data-v=\"12\"");
        assert_eq!(key(Value::from("x")), "");
        assert_eq!(key(Value::from(())), "");
    }
}
