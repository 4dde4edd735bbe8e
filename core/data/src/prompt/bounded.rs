//! What an expression makes has an end: a template whose every `join` triples its text, or a list repeated a thousand million
//! times, is an error of its row and takes no machine's memory.

use std::io;

use minijinja::value::{Kwargs, Rest, StringInput};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

/// Bytes of a text: no model reads that much at once.
const BYTES: usize = 16 << 20;
/// Items of a list.
const ITEMS: usize = 1_000_000;

/// Puts bounds on what is written, and on the filters that can make more than they were given.
pub(super) fn set_up(environment: &mut Environment<'static>) {
    environment.set_formatter(|out, state, value| {
        // Written, a list goes on to its end also where nothing more is taken.
        if value.as_str().is_none() {
            few(value.len().unwrap_or(0))?;
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment.add_filter("join", join);
    environment.add_filter("replace", replace);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    environment.add_filter("list", |state: &State, list: Value| {
        filters::list(state, short(list)?)
    });
    environment.add_filter("sort", |state: &State, list: Value, options: Kwargs| {
        filters::sort(state, short(list)?, options)
    });
    environment.add_filter("unique", |state: &State, list: Value, options: Kwargs| {
        filters::unique(state, short(list)?, options)
    });
    environment.add_filter("map", |state: &State, list: Value, by: Rest<Value>| {
        filters::map(state, short(list)?, by)
    });
    environment.add_filter("reverse", |list: Value| filters::reverse(&short(list)?));
    environment.add_filter(
        "batch",
        |state: &State, list: Value, count: usize, fill: Option<Value>| {
            filters::batch(state, short(list)?, few(count)?, fill)
        },
    );
    environment.add_filter(
        "slice",
        |state: &State, list: Value, count: usize, fill: Option<Value>| {
            filters::slice(state, short(list)?, few(count)?, fill)
        },
    );
}

fn too_much(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

fn too_long(what: &str) -> Error {
    too_much(format!("{what} makes a text of more than 16 MiB"))
}

/// A list that is not too long.
fn short(list: Value) -> Result<Value, Error> {
    match list.len() {
        Some(length) => few(length).map(|_| list),
        None => Ok(list),
    }
}

fn few(count: usize) -> Result<usize, Error> {
    match count <= ITEMS {
        true => Ok(count),
        false => Err(too_much(format!(
            "a list of {count} items is too long: at most {ITEMS}"
        ))),
    }
}

fn join(state: &State, list: &Value, between: Option<StringInput<'_>>) -> Result<Value, Error> {
    let gap = between.as_ref().map_or(0, |text| text.as_str().len());
    let mut bytes = 0_usize;
    // What is no list is refused there.
    for item in list.try_iter().into_iter().flatten() {
        let own = item
            .as_str()
            .map_or_else(|| item.to_string().len(), str::len);
        bytes = bytes.saturating_add(own).saturating_add(gap);
        if bytes > BYTES {
            return Err(too_long("`join`"));
        }
    }
    filters::join(state, list, between)
}

fn replace(
    state: &State,
    text: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<Value, Error> {
    let count = text.as_str().matches(from.as_str()).count();
    let more = count.saturating_mul(to.as_str().len());
    match text.as_str().len().saturating_add(more) > BYTES {
        true => Err(too_long("`replace`")),
        false => filters::replace(state, text, from, to),
    }
}

fn indent(
    text: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let named = options.peek::<usize>("width").ok();
    let lines = text.as_str().split('\n').count();
    let more = lines.saturating_mul(width.or(named).unwrap_or(4));
    match text.as_str().len().saturating_add(more) > BYTES {
        true => Err(too_long("`indent`")),
        false => filters::indent(text, width, first, blank, options),
    }
}

fn format(state: &State, pattern: &Value, values: Rest<Value>) -> Result<Value, Error> {
    // A width or a precision stands in the pattern or, for `*`, among the values.
    let written = pattern.as_str().unwrap_or_default();
    let mut numbers = written.split(|c: char| !c.is_ascii_digit());
    let is_wide = numbers.any(|digits| digits.trim_start_matches('0').len() > 6);
    let is_given = written.contains('*')
        && values.iter().any(|value| {
            value
                .as_i64()
                .is_none_or(|number| number.unsigned_abs() > 999_999)
        });
    match is_wide || is_given {
        true => Err(too_long("`format`")),
        false => filters::format(state, pattern, values),
    }
}

/// A text that is written piece by piece, and has an end.
#[derive(Default)]
pub(super) struct Written(Vec<u8>);

impl Written {
    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl io::Write for Written {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(piece.len()) > BYTES {
            return Err(io::Error::other("the text is longer than 16 MiB"));
        }
        self.0.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
