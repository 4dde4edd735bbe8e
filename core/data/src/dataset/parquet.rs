//! Parquet files: every column keeps its type.

use std::collections::HashSet;
use std::path::Path;

use driftgauge_problem::{Problem, guarded};
use half::f16;
use indexmap::IndexMap;
use parquet::data_type::{AsBytes, Decimal};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::DatasetError;
use super::access::{Columns, Read, open, row_error};
use super::parquet_types::{types, without_zone};

pub(super) fn read(path: &Path) -> Result<Read, DatasetError> {
    // The library trusts what a file says of itself, and stops where that is not so.
    guarded(|| read_whole(path)).unwrap_or_else(|| {
        Err(DatasetError::File {
            path: path.to_owned(),
            format: "Parquet",
            problem: "its description of itself does not fit what is in it".to_owned(),
            hint: Some("the file is damaged: fetch it or write it again".to_owned()),
        })
    })
}

fn read_whole(path: &Path) -> Result<Read, DatasetError> {
    let broken = |problem: Problem| DatasetError::File {
        path: path.to_owned(),
        format: "Parquet",
        problem: problem.message,
        hint: problem.help,
    };
    let reader =
        SerializedFileReader::new(open(path)?).map_err(|error| broken(error.to_string().into()))?;
    let schema = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .root_schema();
    if let Some(twice) = name_twice(schema) {
        return Err(broken(
            Problem::failed(format!("two columns are called `{twice}`"))
                .help("give each column a name of its own"),
        ));
    }
    let types = types(path, reader.metadata().file_metadata()).map_err(broken)?;
    let mut found = Read {
        notes: types.notes,
        ..Read::default()
    };
    for row in reader
        .get_row_iter(None)
        .map_err(|error| broken(error.to_string().into()))?
    {
        let number = found.rows.len() + 1;
        let row = row.map_err(|error| row_error(path, number, error.to_string()))?;
        let mut columns = Columns::new();
        for (name, field) in row.get_column_iter() {
            let read = match field {
                Field::Long(time) if types.nanoseconds.contains(name) => nanoseconds(*time),
                field => value(field, &mut found.nulls),
            };
            let mut value = read.map_err(|problem| {
                row_error(
                    path,
                    number,
                    problem.prefixed(&format!("column `{name}` holds ")),
                )
            })?;
            if let Some(of) = types.zoneless.get(name) {
                without_zone(&mut value, of);
            }
            columns.insert(name.clone(), value);
        }
        found.rows.push(columns);
    }
    Ok(found)
}

/// The first name that two fields of one group have.
fn name_twice(group: &Type) -> Option<String> {
    if group.is_primitive() {
        return None;
    }
    let mut names = HashSet::new();
    let fields = group.get_fields();
    let twice = fields.iter().find(|field| !names.insert(field.name()));
    twice
        .map(|field| field.name().to_owned())
        .or_else(|| fields.iter().find_map(|field| name_twice(field)))
}

fn value(field: &Field, nulls: &mut usize) -> Result<Value, Problem> {
    let mut float = |number: f64| {
        *nulls += usize::from(!number.is_finite());
        serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
    };
    Ok(match field {
        // Whole numbers have all their digits already.
        Field::Float16(number) if number.to_f64().fract() != 0.0 => float(half(*number)),
        Field::Float16(number) => float(number.to_f64()),
        Field::Float(number) if number.fract() != 0.0 => float(single(*number)),
        Field::Float(number) => float(f64::from(*number)),
        Field::Double(number) => float(*number),
        Field::Decimal(decimal) => decimal_value(decimal),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.as_bytes()) {
            Ok(text) => text.into(),
            Err(_) => {
                return Err(
                    Problem::failed("bytes that are no text").help("only binary columns that hold UTF-8 are read; drop the column, or write it as text"),
                );
            }
        },
        Field::Group(row) => {
            let mut fields = Map::new();
            for (name, field) in row.get_column_iter() {
                fields.insert(name.clone(), value(field, nulls)?);
            }
            fields.into()
        }
        Field::ListInternal(list) => {
            let items = list.elements().iter().map(|item| value(item, nulls));
            items.collect::<Result<Vec<Value>, _>>()?.into()
        }
        Field::MapInternal(map) => {
            let mut fields = IndexMap::new();
            for (key, field) in map.entries() {
                let key = match value(key, nulls)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                if fields.insert(key.clone(), value(field, nulls)?).is_some() {
                    return Err(format!("a map in which the key `{key}` occurs twice").into());
                }
            }
            fields.into_iter().collect::<Map<_, _>>().into()
        }
        // Whole numbers, truth values, texts, dates and times.
        other => other.to_json_value(),
    })
}

/// A time in nanoseconds, written as those in microseconds are, with all its digits.
fn nanoseconds(time: i64) -> Result<Value, Problem> {
    let written = Field::TimestampMicros(time.div_euclid(1000)).to_json_value();
    let rest = time.rem_euclid(1000);
    match written.as_str().and_then(|text| text.rsplit_once(' ')) {
        Some((text, zone)) if rest > 0 => Ok(format!("{text}{rest:03} {zone}").into()),
        Some(_) => Ok(written),
        None => Err(format!("{time} nanoseconds, which are no time").into()),
    }
}

/// The number that is written as shortly as one of single precision can be: 0.1, and not 0.10000000149.
fn single(number: f32) -> f64 {
    let shortest = number.to_string();
    shortest.parse().unwrap_or_else(|_| f64::from(number))
}

/// The same of half precision, which has at most five digits.
fn half(number: f16) -> f64 {
    let with = |digits: usize| {
        let written = format!("{:.digits$e}", number.to_f64());
        let read: f64 = written.parse().ok()?;
        (f16::from_f64(read) == number).then_some(read)
    };
    (0..5).find_map(with).unwrap_or_else(|| number.to_f64())
}

/// A decimal without a fraction is an integer, exact at any size; one with a fraction a text, which keeps its digits: `1.10`.
fn decimal_value(decimal: &Decimal) -> Value {
    let written = Field::Decimal(decimal.clone()).to_json_value();
    match &written {
        // Without a fraction it is written as `7.`.
        Value::String(text) if decimal.scale() <= 0 => {
            let digits = text.strip_suffix('.').unwrap_or(text);
            digits.parse::<i64>().map_or(digits.into(), Value::from)
        }
        _ => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_their_columns_can_write() {
        let read = |field: Field| value(&field, &mut 0).unwrap();
        assert_eq!(read(Field::Float(0.1)), Value::from(0.1));
        assert_eq!(
            read(Field::Float(123_456_792.0)),
            Value::from(123_456_792.0)
        );
        assert_eq!(read(Field::Float(f32::NAN)), Value::Null);
        for number in [0.1, 0.3, 65_504.0, 0.25, 6.0e-8] {
            let field = Field::Float16(f16::from_f64(number));
            assert_eq!(read(field), Value::from(number));
        }
        assert_eq!(read(Field::Float16(f16::INFINITY)), Value::Null);
        let decimal = |digits: i32, scale| Field::Decimal(Decimal::from_i32(digits, 10, scale));
        for (digits, scale, written) in [(110, 2, "1.10"), (-1250, 2, "-12.50"), (0, 2, "0.00")] {
            assert_eq!(read(decimal(digits, scale)), Value::from(written));
        }
        assert_eq!(read(decimal(7, 0)), Value::from(7));
    }
}
