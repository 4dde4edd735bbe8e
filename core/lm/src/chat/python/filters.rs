//! Filters and tests that minijinja lacks, or has with another meaning.

use std::cmp::Ordering;

use driftgauge_record::value::rounded;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::text::{capitalize, float, is_space, lines, text};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("string", |value: &Value| text(value));
    environment.add_filter("upper", |value: &Value| text(value).to_uppercase());
    environment.add_filter("lower", |value: &Value| text(value).to_lowercase());
    environment.add_filter("title", |value: &Value| title(&text(value)));
    environment.add_filter("safe", |value: &Value| Value::from_safe_string(text(value)));
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("unique", unique);
    environment.add_filter("capitalize", |value: &Value| capitalize(&text(value)));
    environment.add_filter("trim", trim);
    environment.add_filter("replace", replace);
    environment.add_filter("list", list);
    environment.add_filter("first", |value: &Value| {
        Ok::<_, Error>(items(value)?.into_iter().next().unwrap_or_default())
    });
    environment.add_filter("last", |value: &Value| {
        Ok::<_, Error>(items(value)?.into_iter().next_back().unwrap_or_default())
    });
    environment.add_filter("reverse", reverse);
    environment.add_filter("join", join);
    environment.add_filter("sort", sort);
    environment.add_filter("sum", sum);
    environment.add_filter("max", |value: &Value| extreme(value, Ordering::Greater));
    environment.add_filter("min", |value: &Value| extreme(value, Ordering::Less));
    environment.add_filter("items", pairs);
    environment.add_filter("int", int);
    environment.add_filter("float", to_float);
    environment.add_filter("round", round);
    environment.add_filter("indent", indent);
    environment.add_filter("wordcount", |value: &Value| {
        text(value)
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .count()
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("center", |value: &Value, width: Option<usize>| {
        let width = super::methods::bounded(width.unwrap_or(80))?;
        Ok::<_, Error>(super::methods::centered(&text(value), width, ' '))
    });
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", |value: &Value| {
        value.kind() != ValueKind::None
            && value.kind() != ValueKind::Bool
            && value.kind() != ValueKind::Number
    });
    environment.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
    environment.add_test("callable", |value: &Value| value.is_undefined());
}

fn refuse(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// What a `for` loop or a filter goes through. Nothing where the value is undefined, an error where it is None.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::None => Err(refuse("none is not iterable".to_owned())),
        ValueKind::String => Ok(value
            .as_str()
            .unwrap_or_default()
            .chars()
            .map(Value::from)
            .collect()),
        _ => Ok(value.try_iter()?.collect()),
    }
}

fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        kind => value
            .len()
            .ok_or_else(|| refuse(format!("{kind} has no length"))),
    }
}

/// The filter's own rule: words begin behind white space, `-` and brackets.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<') {
            inside = false;
            out.push(c);
            continue;
        }
        match inside {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        inside = true;
    }
    out
}

fn escape(value: &Value) -> Value {
    let mut out = String::new();
    for c in text(value).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Value::from_safe_string(out)
}

fn unique(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let case_sensitive = options
        .get::<Option<bool>>("case_sensitive")?
        .unwrap_or(false);
    let attribute = options.get::<Option<String>>("attribute")?;
    options.assert_all_used()?;
    let mut seen = Vec::new();
    let mut kept = Vec::new();
    for item in items(value)? {
        let key = match &attribute {
            Some(path) => at(&item, path)?,
            None => item.clone(),
        };
        let key = match key.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => key,
        };
        if matches!(key.kind(), ValueKind::Seq | ValueKind::Map) {
            return Err(refuse(format!("`unique` does not take a {}", key.kind())));
        }
        if !seen.contains(&key) {
            seen.push(key);
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

fn trim(value: &Value, chars: Option<String>) -> String {
    let text = text(value);
    match chars {
        None => text.trim_matches(is_space).to_owned(),
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
    }
}

fn replace(value: &Value, from: String, to: String, count: Option<usize>) -> String {
    let text = text(value);
    match count {
        None => text.replace(&from, &to),
        Some(count) => text.replacen(&from, &to, count),
    }
}

fn list(value: &Value) -> Result<Value, Error> {
    items(value).map(Value::from)
}

fn reverse(value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = items(value)?;
    items.reverse();
    Ok(Value::from(items))
}

fn join(
    value: &Value,
    between: Option<String>,
    attribute: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let attribute = match attribute {
        Some(name) => Some(name),
        None => options.get::<Option<String>>("attribute")?,
    };
    options.assert_all_used()?;
    let items = items(value)?;
    let texts: Result<Vec<String>, Error> = items
        .iter()
        .map(|item| match &attribute {
            Some(name) => Ok(text(&at(item, name)?)),
            None => Ok(text(item)),
        })
        .collect();
    Ok(texts?.join(&between.unwrap_or_default()))
}

/// A value below an item: `name`, `0`, or several with dots between.
fn at(item: &Value, path: &str) -> Result<Value, Error> {
    path.split('.')
        .try_fold(item.clone(), |value, part| match part.parse::<usize>() {
            Ok(index) => value.get_item(&Value::from(index)),
            Err(_) => value.get_attr(part),
        })
}

/// How two values compare, where Python compares them at all.
fn compare(a: &Value, b: &Value) -> Result<Ordering, Error> {
    let kind = |value: &Value| match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        kind => kind,
    };
    let comparable = kind(a) == kind(b)
        && matches!(
            kind(a),
            ValueKind::Number | ValueKind::String | ValueKind::Seq
        );
    match comparable {
        true => Ok(a.cmp(b)),
        false => Err(refuse(format!(
            "{} and {} have no order",
            a.kind(),
            b.kind()
        ))),
    }
}

fn sort(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let reverse = options.get::<Option<bool>>("reverse")?.unwrap_or(false);
    let case_sensitive = options
        .get::<Option<bool>>("case_sensitive")?
        .unwrap_or(false);
    let attribute = options.get::<Option<String>>("attribute")?;
    options.assert_all_used()?;
    let key = |item: &Value| -> Result<Value, Error> {
        let value = match &attribute {
            Some(path) => at(item, path)?,
            None => item.clone(),
        };
        Ok(match value.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => value,
        })
    };
    let mut keyed = items(value)?
        .into_iter()
        .map(|item| Ok((key(&item)?, item)))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut failed = None;
    keyed.sort_by(|a, b| {
        let order = compare(&a.0, &b.0).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(Value::from(
            keyed.into_iter().map(|(_, item)| item).collect::<Vec<_>>(),
        )),
    }
}

fn sum(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let attribute = options.get::<Option<String>>("attribute")?;
    let start = options.get::<Option<Value>>("start")?;
    options.assert_all_used()?;
    let mut whole = 0_i64;
    let mut real = 0.0_f64;
    let mut is_real = false;
    for item in start.into_iter().chain(items(value)?) {
        let item = match &attribute {
            Some(path) => at(&item, path)?,
            None => item,
        };
        match (i64::try_from(item.clone()), f64::try_from(item.clone())) {
            (Ok(n), _) if item.is_integer() || item.kind() == ValueKind::Bool => whole += n,
            (_, Ok(n)) if item.is_number() => {
                real += n;
                is_real = true;
            }
            _ => return Err(refuse(format!("{} cannot be added", item.kind()))),
        }
    }
    Ok(match is_real {
        true => Value::from(real + whole as f64),
        false => Value::from(whole),
    })
}

fn extreme(value: &Value, wanted: Ordering) -> Result<Value, Error> {
    let lower = |value: &Value| match value.as_str() {
        Some(text) => Value::from(text.to_lowercase()),
        None => value.clone(),
    };
    let mut best: Option<Value> = None;
    for item in items(value)? {
        let better = match &best {
            Some(best) => compare(&lower(&item), &lower(best))? == wanted,
            None => true,
        };
        if better {
            best = Some(item);
        }
    }
    Ok(best.unwrap_or_default())
}

fn pairs(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(Vec::<Value>::new())),
        ValueKind::Map => value
            .try_iter()?
            .map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?])))
            .collect::<Result<Vec<_>, Error>>()
            .map(Value::from),
        kind => Err(refuse(format!("{kind} has no items"))),
    }
}

fn defined(value: &Value) -> Result<(), Error> {
    match value.is_undefined() {
        true => Err(refuse("the value is undefined".to_owned())),
        false => Ok(()),
    }
}

fn int(value: &Value, default: Option<i64>) -> Result<i64, Error> {
    defined(value)?;
    let default = default.unwrap_or(0);
    if let Some(text) = value.as_str() {
        let text = text.trim_matches(is_space);
        let whole = text.parse::<i64>().ok();
        return Ok(whole
            .or_else(|| text.parse().ok().and_then(truncated))
            .unwrap_or(default));
    }
    if value.kind() == ValueKind::Bool {
        return Ok(value.is_true().into());
    }
    if let (true, Ok(number)) = (value.is_integer(), i64::try_from(value.clone())) {
        return Ok(number);
    }
    if value.is_integer() {
        return Err(refuse("the number is too large".to_owned()));
    }
    match f64::try_from(value.clone()) {
        Ok(number) => {
            truncated(number).ok_or_else(|| refuse(format!("{} is too large", float(number))))
        }
        Err(_) => Ok(default),
    }
}

#[expect(clippy::cast_possible_truncation)]
fn truncated(number: f64) -> Option<i64> {
    (number.abs() < 9e18).then_some(number as i64)
}

fn to_float(value: &Value, default: Option<f64>) -> Result<f64, Error> {
    defined(value)?;
    let default = default.unwrap_or(0.0);
    Ok(match value.as_str() {
        Some(text) => text.trim_matches(is_space).parse().unwrap_or(default),
        None if value.kind() == ValueKind::Bool => f64::from(u8::from(value.is_true())),
        None => f64::try_from(value.clone()).unwrap_or(default),
    })
}

/// `round`, to the nearest even digit as Python does.
fn round(value: &Value, precision: Option<i32>, method: Option<String>) -> Result<Value, Error> {
    if value.is_integer() || value.kind() == ValueKind::Bool {
        return int(value, None).map(Value::from);
    }
    let number = match value.is_number() {
        true => f64::try_from(value.clone())?,
        false => return Err(refuse(format!("{} cannot be rounded", value.kind()))),
    };
    let precision = precision.unwrap_or(0);
    let scale = 10_f64.powi(precision);
    Ok(Value::from(match method.as_deref() {
        None | Some("common") => rounded(number, precision),
        Some("ceil") => (number * scale).ceil() / scale,
        Some("floor") => (number * scale).floor() / scale,
        Some(other) => return Err(refuse(format!("there is no rounding `{other}`"))),
    }))
}

fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let Some(text) = value.as_str() else {
        return Err(refuse(format!("{} cannot be indented", value.kind())));
    };
    let given = |value: Option<bool>, name: &str| -> Result<bool, Error> {
        Ok(match value {
            Some(value) => value,
            None => options.get::<Option<bool>>(name)?.unwrap_or(false),
        })
    };
    let width = match width {
        Some(width) => width,
        None => options
            .get::<Option<Value>>("width")?
            .unwrap_or_else(|| Value::from(4)),
    };
    let (first, blank) = (given(first, "first")?, given(blank, "blank")?);
    options.assert_all_used()?;
    let pad = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(super::methods::bounded(usize::try_from(width)?)?),
    };
    // Jinja2 adds a new line, so that what ends with one keeps it.
    let with_end = format!("{text}\n");
    let lines = lines(&with_end);
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let padded = if index == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        if padded {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(out)
}

fn truncate(
    state: &State,
    value: &Value,
    rest: Rest<Value>,
    options: Kwargs,
) -> Result<String, Error> {
    let _ = state;
    let text = text(value);
    let length = match rest.first() {
        Some(length) => usize::try_from(length.clone())?,
        None => options.get::<Option<usize>>("length")?.unwrap_or(255),
    };
    let kill = match rest.get(1) {
        Some(kill) => kill.is_true(),
        None => options.get::<Option<bool>>("killwords")?.unwrap_or(false),
    };
    let end = options
        .get::<Option<String>>("end")?
        .unwrap_or_else(|| "...".to_owned());
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(5);
    options.assert_all_used()?;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= length + leeway {
        return Ok(text);
    }
    let kept: String = chars[..length.saturating_sub(end.chars().count())]
        .iter()
        .collect();
    let kept = match (kill, kept.rsplit_once(' ')) {
        (false, Some((words, _))) => words.to_owned(),
        _ => kept,
    };
    Ok(kept + &end)
}
