//! What the columns of a Parquet file are, and which of them are read as what they are.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use arrow_schema::{DataType, Schema, TimeUnit};
use driftgauge_problem::Problem;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::FileMetaData;
use serde_json::Value;

/// Where `datasets` keeps what its columns are.
const FEATURES: &str = "huggingface";

/// What has to be known of a file's columns before its rows are read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Types {
    /// Columns of times in nanoseconds, which rows give as numbers.
    pub(super) nanoseconds: HashSet<String>,
    /// Types of the columns that hold times without a zone, which rows give with one.
    pub(super) zoneless: HashMap<String, DataType>,
    /// What has to be said of them.
    pub(super) notes: Vec<String>,
}

/// Looks at the types of all columns.
///
/// # Errors
/// With the first column of a type that rows would give as something else, such as a duration as a bare number.
pub(super) fn types(path: &Path, metadata: &FileMetaData) -> Result<Types, Problem> {
    let pairs = metadata.key_value_metadata();
    let schema = parquet_to_arrow_schema(metadata.schema_descr(), pairs)
        .map_err(|error| Problem::failed(error.to_string()))?;
    let nanoseconds = nanoseconds(&schema)?;
    let fields = schema.fields().iter();
    let zoneless = fields.filter(|field| is_zoneless(field.data_type()));
    let zoneless = zoneless.map(|field| (field.name().clone(), field.data_type().clone()));
    let said = pairs
        .into_iter()
        .flatten()
        .find(|pair| pair.key == FEATURES);
    let said = said.and_then(|pair| serde_json::from_str(pair.value.as_ref()?).ok());
    let notes = said.map(|said: Value| classes(path, &said));
    Ok(Types {
        nanoseconds,
        zoneless: zoneless.collect(),
        notes: notes.unwrap_or_default(),
    })
}

/// The columns of times in nanoseconds, where all others are read as what they are.
fn nanoseconds(schema: &Schema) -> Result<HashSet<String>, Problem> {
    let mut found = HashSet::new();
    for field in schema.fields() {
        match field.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                found.insert(field.name().clone());
            }
            other => readable(field.name(), other)?,
        }
    }
    Ok(found)
}

/// Refuses what is not known to be read as what it is.
fn readable(column: &str, of: &DataType) -> Result<(), Problem> {
    use DataType as T;
    match of {
        T::Null | T::Boolean | T::Date32 | T::Date64 => Ok(()),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => Ok(()),
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Ok(()),
        T::Float16 | T::Float32 | T::Float64 => Ok(()),
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Ok(()),
        T::Utf8 | T::LargeUtf8 | T::Utf8View => Ok(()),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Ok(()),
        T::Timestamp(unit, _) | T::Time32(unit) | T::Time64(unit)
            if *unit != TimeUnit::Nanosecond =>
        {
            Ok(())
        }
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::Map(item, _) => {
            readable(column, item.data_type())
        }
        T::Struct(fields) => fields.iter().try_for_each(|field| {
            readable(&format!("{column}.{}", field.name()), field.data_type())
        }),
        T::Dictionary(_, value) => readable(column, value),
        other => Err(Problem::failed(format!(
            "the column `{column}` is of the type {other}, which is not read"
        ))
        .help("write it as text or as a number, or leave the column out of the file")),
    }
}

/// What rows write behind every time.
const ZONE: &str = " +00:00";

/// Whether a type holds times of which nobody says in which zone they are.
fn is_zoneless(of: &DataType) -> bool {
    use DataType as T;
    match of {
        T::Timestamp(_, zone) => zone.is_none(),
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::Map(item, _) => {
            is_zoneless(item.data_type())
        }
        T::Struct(fields) => fields.iter().any(|field| is_zoneless(field.data_type())),
        T::Dictionary(_, value) => is_zoneless(value),
        _ => false,
    }
}

/// Takes the zone from times that have none.
pub(super) fn without_zone(value: &mut Value, of: &DataType) {
    use DataType as T;
    match (of, value) {
        (T::Timestamp(_, None), Value::String(text)) => {
            if let Some(time) = text.strip_suffix(ZONE) {
                *text = time.to_owned();
            }
        }
        (T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _), Value::Array(items)) => {
            for value in items {
                without_zone(value, item.data_type());
            }
        }
        (T::Map(entry, _), Value::Object(fields)) => {
            if let T::Struct(pair) = entry.data_type()
                && let Some(of) = pair.get(1)
            {
                fields
                    .values_mut()
                    .for_each(|value| without_zone(value, of.data_type()));
            }
        }
        (T::Struct(types), Value::Object(fields)) => {
            for of in types {
                if let Some(value) = fields.get_mut(of.name()) {
                    without_zone(value, of.data_type());
                }
            }
        }
        (T::Dictionary(_, of), value) => without_zone(value, of),
        _ => {}
    }
}

/// What is said of columns whose numbers stand for names, as `ClassLabel` of `datasets` does.
fn classes(path: &Path, said: &Value) -> Vec<String> {
    let features = said["info"]["features"].as_object();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let note = |(column, feature): (&String, &Value)| {
        let names = feature["names"]
            .as_array()
            .filter(|_| feature["_type"] == "ClassLabel")?;
        let names = names.iter().filter_map(Value::as_str).enumerate();
        let some: Vec<String> = names
            .take(3)
            .map(|(number, name)| format!("{number} is `{name}`"))
            .collect();
        Some(format!(
            "`{file}`: the column `{column}` holds numbers of classes, and is read as numbers: {}, ...",
            some.join(", ")
        ))
    };
    features.into_iter().flatten().filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Field;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_rows_would_give_as_something_else_is_refused_by_name() {
        let of = |of: DataType| nanoseconds(&Schema::new(vec![Field::new("x", of, true)]));
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(of(nanos.clone()), Ok(HashSet::from(["x".to_owned()])));
        assert_eq!(
            of(DataType::Time64(TimeUnit::Microsecond)),
            Ok(HashSet::new())
        );
        let list = |of: DataType| DataType::List(Arc::new(Field::new("item", of, true)));
        let duration = DataType::Duration(TimeUnit::Second);
        let field = Field::new("f", duration.clone(), true);
        for (of_type, name) in [
            (duration.clone(), "`x` is of the type Duration"),
            (
                DataType::Time64(TimeUnit::Nanosecond),
                "`x` is of the type Time64",
            ),
            (list(nanos), "`x` is of the type Timestamp"),
            (
                DataType::Struct(vec![field].into()),
                "`x.f` is of the type Duration",
            ),
        ] {
            let said = of(of_type).unwrap_err().to_string();
            assert!(said.contains(name), "{said}");
        }
    }

    #[test]
    fn a_time_without_a_zone_has_none() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let fields = vec![
            Field::new("at", time.clone(), true),
            Field::new("utc", zoned.clone(), true),
        ];
        let nested = DataType::List(Arc::new(Field::new(
            "item",
            DataType::Struct(fields.into()),
            true,
        )));
        let written = "2024-05-01 12:00:00.000000";
        let text = json!(format!("{written} +00:00"));
        let mut value = json!([{"at": text, "utc": text}, {"at": null, "utc": null}]);
        without_zone(&mut value, &nested);
        let expected = json!([{"at": written, "utc": text}, {"at": null, "utc": null}]);
        assert_eq!(value, expected);
        assert!(is_zoneless(&nested) && is_zoneless(&time) && !is_zoneless(&zoned));
    }

    #[test]
    fn names_of_classes_are_told() {
        let said = json!({"info": {"features": {
            "text": {"dtype": "string", "_type": "Value"},
            "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
        }}});
        let notes = classes(Path::new("d/train.parquet"), &said);
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("`train.parquet`: the column `label`")
                && notes[0].contains("0 is `neg`, 1 is `pos`"),
            "{notes:?}"
        );
        assert!(classes(Path::new("d"), &json!("x")).is_empty());
    }
}
