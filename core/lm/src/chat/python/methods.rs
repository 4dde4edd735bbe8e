//! Methods of Python's strings and lists.

use minijinja::value::{Rest, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::text::{capitalize, is_space, lines, text, title};

/// Most characters that are written to fill a line.
const WIDEST: usize = 1_000_000;

/// Calls a method of a value: those below, else what minijinja's own collection has.
pub(super) fn call(
    state: &State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match (value.as_str(), value.kind()) {
        (Some(text), _) => of_text(text, method, args)?,
        (None, ValueKind::Seq) => of_list(value, method, args)?,
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None if method == "format" && value.as_str().is_some() => {
            let written = |arg: &Value| match arg.kind() {
                ValueKind::Seq | ValueKind::Iterable => Value::from(text(arg)),
                ValueKind::Map if !arg.is_kwargs() => Value::from(text(arg)),
                _ => arg.clone(),
            };
            let args: Vec<Value> = args.iter().map(written).collect();
            minijinja_contrib::pycompat::unknown_method_callback(state, value, method, &args)
        }
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn of_text(s: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let all = |test: fn(char) -> bool| Value::from(!s.is_empty() && s.chars().all(test));
    let strip = |left: bool, right: bool| -> Result<Value, Error> {
        let (chars,): (Option<String>,) = from_args(args)?;
        let away = |c: char| match &chars {
            Some(chars) => chars.contains(c),
            None => is_space(c),
        };
        let s = if left { s.trim_start_matches(away) } else { s };
        Ok(Value::from(if right {
            s.trim_end_matches(away)
        } else {
            s
        }))
    };
    Ok(Some(match method {
        "strip" => strip(true, true)?,
        "lstrip" => strip(true, false)?,
        "rstrip" => strip(false, true)?,
        "title" => Value::from(title(s)),
        "capitalize" => Value::from(capitalize(s)),
        "casefold" => Value::from(s.to_lowercase().replace('ß', "ss")),
        "swapcase" => s
            .chars()
            .flat_map(|c| match c.is_uppercase() {
                true => c.to_lowercase().collect::<Vec<_>>(),
                false => c.to_uppercase().collect(),
            })
            .collect::<String>()
            .into(),
        "isdigit" | "isdecimal" => all(|c| c.is_ascii_digit() || !c.is_ascii() && c.is_numeric()),
        "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(is_space),
        "isupper" => {
            Value::from(s.chars().any(char::is_uppercase) && !s.chars().any(char::is_lowercase))
        }
        "islower" => {
            Value::from(s.chars().any(char::is_lowercase) && !s.chars().any(char::is_uppercase))
        }
        "splitlines" if args.is_empty() => lines(s).into_iter().map(Value::from).collect(),
        "split" if args.is_empty() || args[0].is_none() && args.len() == 1 => s
            .split(is_space)
            .filter(|part| !part.is_empty())
            .map(Value::from)
            .collect(),
        "rsplit" => {
            let (by, most): (Option<String>, Option<usize>) = from_args(args)?;
            let Some(by) = by.filter(|by| !by.is_empty()) else {
                return Ok(None);
            };
            let mut parts: Vec<&str> = match most {
                Some(most) => s.rsplitn(most + 1, &by).collect(),
                None => s.rsplit(&by).collect(),
            };
            parts.reverse();
            parts.into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let (by,): (String,) = from_args(args)?;
            let last = method == "rpartition";
            let cut = if last {
                s.rsplit_once(&by)
            } else {
                s.split_once(&by)
            };
            let parts = match cut {
                Some((before, after)) => [before, &by, after],
                None if last => ["", "", s],
                None => [s, "", ""],
            };
            parts.into_iter().map(Value::from).collect()
        }
        "removeprefix" => {
            let (prefix,): (String,) = from_args(args)?;
            Value::from(s.strip_prefix(&prefix).unwrap_or(s))
        }
        "removesuffix" => {
            let (suffix,): (String,) = from_args(args)?;
            Value::from(s.strip_suffix(&suffix).unwrap_or(s))
        }
        "index" => {
            let (part,): (String,) = from_args(args)?;
            let at = s
                .find(&part)
                .ok_or_else(|| refuse(format!("`{part}` is not in the text")))?;
            Value::from(s[..at].chars().count())
        }
        // Counted in characters, which minijinja's own counts in bytes.
        "find" | "rfind" => {
            let (part, _): (String, Rest<Value>) = from_args(args)?;
            if args.len() > 1 {
                return Err(refuse(format!("`{method}` takes one text")));
            }
            let at = if method == "find" {
                s.find(&part)
            } else {
                s.rfind(&part)
            };
            at.map_or(Value::from(-1), |at| Value::from(s[..at].chars().count()))
        }
        "center" | "ljust" | "rjust" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            let width = bounded(width)?;
            let fill = fill.unwrap_or(' ');
            let missing = width.saturating_sub(s.chars().count());
            let pad = |count: usize| fill.to_string().repeat(count);
            Value::from(match method {
                "ljust" => format!("{s}{}", pad(missing)),
                "rjust" => format!("{}{s}", pad(missing)),
                _ => centered(s, width, fill),
            })
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let width = bounded(width)?;
            let (sign, digits) = match s.strip_prefix(['-', '+']) {
                Some(digits) => s.split_at(s.len() - digits.len()),
                None => ("", s),
            };
            let missing = width.saturating_sub(s.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "join" => {
            let (list,): (Value,) = from_args(args)?;
            let items: Vec<Value> = list.try_iter()?.collect();
            match items.iter().find(|item| item.as_str().is_none()) {
                Some(item) => {
                    return Err(refuse(format!(
                        "`join` takes texts, and {} is none",
                        item.kind()
                    )));
                }
                None => Value::from(items.iter().map(text).collect::<Vec<_>>().join(s)),
            }
        }
        _ => return Ok(None),
    }))
}

fn of_list(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (wanted, _): (Value, Rest<Value>) = from_args(args)?;
            let at = list.try_iter()?.position(|item| item == wanted);
            at.map(|at| Some(Value::from(at)))
                .ok_or_else(|| refuse("the value is not in the list".to_owned()))
        }
        _ => Ok(None),
    }
}

/// A width that a template may ask for.
///
/// # Errors
/// When no prompt could be so wide, and the memory might not do.
pub(super) fn bounded(width: usize) -> Result<usize, Error> {
    match width <= WIDEST {
        true => Ok(width),
        false => Err(refuse(format!(
            "a width of {width} is more than the {WIDEST} that a template may ask for"
        ))),
    }
}

/// `str.center(width, fill)`: an odd remainder goes where CPython puts it.
pub(super) fn centered(s: &str, width: usize, fill: char) -> String {
    let missing = width.saturating_sub(s.chars().count());
    let left = missing / 2 + (missing & width & 1);
    let pad = |count: usize| fill.to_string().repeat(count);
    format!("{}{s}{}", pad(left), pad(missing - left))
}

fn refuse(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}
