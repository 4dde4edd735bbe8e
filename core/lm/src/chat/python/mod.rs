//! The functions, filters, tests and methods of Python's Jinja2, with what Hugging Face adds to it. minijinja has most of them, and
//! some behave otherwise: `none` is iterable there and has no length, lists are written with other quotes, an undefined value has no
//! length. `tests/python/make_templates.py` holds what remains against Jinja2.

mod date;
mod filters;
mod json;
mod methods;
mod source;
mod text;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

/// The source as minijinja compiles it to the same.
pub(super) fn rewritten(source: &str) -> String {
    let source = source::with_long_escapes(&source::with_plain_newlines(source));
    source::without_generation_tags(&source)
}

/// Makes an environment behave as Jinja2 does under transformers.
pub(super) fn set_up(environment: &mut Environment<'static>) {
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(_) => minijinja::escape_formatter(out, state, value),
        None => out.write_str(&text::text(value)).map_err(Error::from),
    });
    environment.set_unknown_method_callback(methods::call);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", date::strftime_now);
    environment.add_filter("tojson", json::tojson);
    filters::add(environment);
}

/// `raise_exception(message)`: the template refuses the conversation.
fn raise_exception(message: Value) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        text::text(&message),
    ))
}
