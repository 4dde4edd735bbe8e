//! Null in templates: absent. It may be tested, and `default` puts something in its place; written, it is an error and never
//! the word `none`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};

/// What null leaves in a text. Filters and `~` carry it along, so that it is found at the end whatever was made of it.
const MARK: &str = "\u{f8f0}null\u{f8f1}";

/// A null of a row.
#[derive(Debug)]
struct Absent;

impl Object for Absent {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARK)
    }
}

static ABSENT: LazyLock<Value> = LazyLock::new(|| Value::from_object(Absent));

/// A value of a row as templates see it.
pub(super) fn value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => ABSENT.clone(),
        serde_json::Value::Array(items) => items.iter().map(self::value).collect(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), self::value(field)))
            .collect(),
        scalar => Value::from_serialize(scalar),
    }
}

/// Whether a value is null.
pub(super) fn is_absent(value: &Value) -> bool {
    value.is_none() || value.downcast_object_ref::<Absent>().is_some()
}

/// Whether a null was written into a text.
pub(super) fn is_written(text: &str) -> bool {
    // The middle of it is what filters that change letters leave alone.
    text.contains('\u{f8f0}') || text.contains('\u{f8f1}')
}

/// The same value with ordinary nulls, for filters that write JSON.
pub(super) fn plain(value: &Value) -> Value {
    if is_absent(value) {
        return Value::from(());
    }
    match value.kind() {
        ValueKind::Seq => match value.try_iter() {
            Ok(items) => items.map(|item| plain(&item)).collect(),
            Err(_) => value.clone(),
        },
        ValueKind::Map => match value.try_iter() {
            Ok(keys) => keys
                .map(|key| {
                    let field = value.get_item(&key).unwrap_or_default();
                    (key.to_string(), plain(&field))
                })
                .collect(),
            Err(_) => value.clone(),
        },
        _ => value.clone(),
    }
}
