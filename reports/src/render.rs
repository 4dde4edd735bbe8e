//! From [`Report`] to one self-contained page. The only place that rounds numbers and writes markup.

use base64::Engine as _;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use sha2::{Digest as _, Sha256};

use crate::charts::{self, escape, run_graph};
use crate::model::{Figure, ONLY_CONDITION};
use crate::{Report, ReportError, numbers, sanitise};

const PAGE: &str = include_str!("templates/report.html");
const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// Renders the page. Text of models, datasets and specs is escaped by the template engine; control characters are made
/// visible first.
///
/// # Errors
/// When a chart cannot be drawn or the template fails.
pub fn render_html(report: &Report) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("report.html", PAGE)?;
    add_filters(&mut environment);
    let figures = report
        .figures()
        .map(|figure| Ok((figure.id.clone(), Value::from_safe_string(drawn(figure)?))))
        .collect::<Result<std::collections::BTreeMap<_, _>, ReportError>>()?;
    let legends: Vec<&str> = report
        .figures()
        .filter(|figure| charts::needs_legend(&figure.chart))
        .map(|figure| figure.id.as_str())
        .collect();
    let keys: Vec<Value> = (0..charts::STYLES)
        .map(|style| Value::from_safe_string(charts::key(style)))
        .collect();
    let graph = run_graph::draw(&report.run.nodes).map(|drawing| {
        Value::from_safe_string(charts::inline(
            &drawing,
            "run-graph",
            "Run graph",
            "Nodes of the plan, from inputs to results.",
        ))
    });
    let page = environment.get_template("report.html")?.render(context! {
        report => Value::from_serialize(report),
        figures,
        legends,
        keys,
        only_condition => ONLY_CONDITION,
        graph,
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        script_hash => base64::engine::general_purpose::STANDARD.encode(Sha256::digest(SCRIPT.as_bytes())),
        resolved => serde_json::to_string_pretty(&report.resolved).unwrap_or_default(),
    })?;
    Ok(page)
}

fn drawn(figure: &Figure) -> Result<String, ReportError> {
    let drawing = charts::draw(figure)?;
    Ok(charts::inline(
        &drawing,
        &figure.id,
        &figure.chart.title,
        &figure.description,
    ))
}

fn add_filters(environment: &mut Environment<'_>) {
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
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
    environment.add_filter("p_is", |value: Value, is_bound: bool| {
        number(&value, |p| numbers::p_is(p, is_bound))
    });
    environment.add_filter("level", |value: Value| number(&value, numbers::level));
    environment.add_filter("duration", |value: Value| number(&value, numbers::duration));
    environment.add_filter("count", |value: u64| numbers::count(value));
    environment.add_filter("visible", |text: &str| sanitise::visible(text).into_owned());
    environment.add_filter("prose", |text: &str| Value::from_safe_string(prose(text)));
    environment.add_filter("span", |change: Value| span(&change));
    environment.add_filter("test", test_name);
    environment.add_filter("slug", sanitise_slug);
    environment.add_filter("bounds", |ci: Value, unit: &str, options: Kwargs| {
        bounds(&ci, unit, &options)
    });
    environment.add_filter("cell", cell);
}

fn sanitise_slug(text: &str) -> String {
    sanitise::slug(text)
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

/// The difference of a change: `+75.3 pp`, or `−9.2 to −40.8 pp` over several conditions.
fn span(change: &Value) -> Result<String, Error> {
    let field = |name: &str| f64::try_from(change.get_attr(name)?);
    let unit = change.get_attr("unit")?;
    let unit = unit.as_str().unwrap_or_default();
    let show = |value: f64| numbers::difference(value, unit);
    let (smallest, largest) = (show(field("smallest")?), show(field("largest")?));
    if smallest == largest {
        return Ok(largest);
    }
    let bare = smallest
        .rsplit_once(' ')
        .map_or(&*smallest, |(number, _)| number);
    Ok(format!("{bare} to {largest}"))
}

/// The name of a test as it is called in print.
fn test_name(name: &str) -> String {
    match name {
        "mcnemar-exact" => "exact McNemar".to_owned(),
        "welch-t" => "Welch's t".to_owned(),
        "sign-flip-permutation" => "sign-flip permutation".to_owned(),
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
        return Ok(sanitise::visible(text).into_owned());
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
    fn a_span_names_both_ends_once_with_their_unit() {
        let change = |smallest: f64, largest: f64, unit: &str| {
            span(&context! { smallest, largest, unit }).expect("a span")
        };
        assert_eq!(change(-0.1, -0.44, "ratio"), "−10.0 to −44.0 pp");
        assert_eq!(change(0.753, 0.753, "ratio"), "+75.3 pp");
        assert_eq!(change(0.465, 0.494, "nats"), "+0.465 to +0.494 nats");
    }
}
