//! Columns that hold one value in every row, as the table's own statistics tell: they need not be read.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, StringArray, UInt32Array, new_null_array,
};
use arrow_schema::DataType;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

/// `rows` rows of the column at `place`, of a type as it is read, where all rows of the table are the same; `None` where they are
/// not, or nobody says so.
pub(super) fn constant(
    metadata: &ParquetMetaData,
    place: usize,
    data_type: &DataType,
    rows: usize,
) -> Option<ArrayRef> {
    let mut chunks = metadata
        .row_groups()
        .iter()
        .map(|group| group.column(place));
    let value = value(chunks.next()?)?;
    if !chunks.all(|chunk| self::value(chunk).as_ref() == Some(&value)) {
        return None;
    }
    Some(match (data_type, value) {
        (DataType::Boolean, Value::Flag(flag)) => Arc::new(BooleanArray::from(vec![flag; rows])),
        (DataType::UInt32, Value::Number(number)) => {
            // Parquet has no unsigned numbers: the bits are the same.
            Arc::new(UInt32Array::from(vec![number.cast_unsigned(); rows]))
        }
        (DataType::Dictionary(_, _), Value::Text(text)) => {
            let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
            let keys = Int32Array::from(vec![0; rows]);
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys, texts).ok()?)
        }
        // Items of our lists are never null: where all are, there is none, and each list is empty.
        (DataType::Dictionary(_, _) | DataType::List(_), Value::None) => {
            new_null_array(data_type, rows)
        }
        _ => return None,
    })
}

/// What all rows of a part of a column have.
#[derive(PartialEq)]
enum Value {
    None,
    Flag(bool),
    Number(i32),
    Text(String),
}

fn value(chunk: &ColumnChunkMetaData) -> Option<Value> {
    let statistics = chunk.statistics()?;
    let nulls = statistics.null_count_opt()?;
    if nulls > 0 {
        let all = i64::try_from(nulls).ok()? == chunk.num_values();
        return all.then_some(Value::None);
    }
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    match statistics {
        Statistics::Boolean(found) => same(found.min_opt(), found.max_opt())
            .copied()
            .map(Value::Flag),
        Statistics::Int32(found) => same(found.min_opt(), found.max_opt())
            .copied()
            .map(Value::Number),
        Statistics::ByteArray(found) => {
            let text = same(found.min_opt(), found.max_opt())?.as_utf8().ok()?;
            Some(Value::Text(text.to_owned()))
        }
        _ => None,
    }
}

fn same<T: PartialEq>(least: Option<T>, most: Option<T>) -> Option<T> {
    least.filter(|least| most.as_ref() == Some(least))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt32Type;
    use arrow_array::{Array, RecordBatch};
    use arrow_schema::{Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

    use super::*;

    /// What is found of each column of a table with one row group for each of some rows: a flag, a number, a text or none.
    fn found(groups: &[&[(bool, u32, Option<&str>)]]) -> [Option<ArrayRef>; 3] {
        let fields = vec![
            Field::new("flag", DataType::Boolean, false),
            Field::new("number", DataType::UInt32, false),
            Field::new("text", DataType::Utf8, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(&schema), None).unwrap();
        for rows in groups {
            let flags: Vec<bool> = rows.iter().map(|row| row.0).collect();
            let numbers: Vec<u32> = rows.iter().map(|row| row.1).collect();
            let texts: Vec<Option<&str>> = rows.iter().map(|row| row.2).collect();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(BooleanArray::from(flags)),
                Arc::new(UInt32Array::from(numbers)),
                Arc::new(StringArray::from(texts)),
            ];
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
            writer.write(&batch).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).unwrap();
        assert_eq!(metadata.metadata().num_row_groups(), groups.len());
        let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let types = [DataType::Boolean, DataType::UInt32, words];
        std::array::from_fn(|place| constant(metadata.metadata(), place, &types[place], 3))
    }

    fn text(column: &ArrayRef) -> Option<&str> {
        let column = column.as_dictionary::<Int32Type>();
        let texts = column.values().as_string::<i32>();
        column.key(2).map(|key| texts.value(key))
    }

    #[test]
    fn what_all_rows_have_is_known_without_reading() {
        let row = (true, u32::MAX, Some("a"));
        let [flag, number, word] = found(&[&[row, row], &[row]]).map(Option::unwrap);
        assert!(flag.as_boolean().value(2) && flag.len() == 3);
        assert_eq!(number.as_primitive::<UInt32Type>().value(0), u32::MAX);
        assert_eq!(text(&word), Some("a"));
        let none = (false, 0, None);
        let [flag, number, word] = found(&[&[none], &[none, none]]).map(Option::unwrap);
        assert!(!flag.as_boolean().value(1));
        assert_eq!(number.as_primitive::<UInt32Type>().value(2), 0);
        assert_eq!((text(&word), word.len()), (None, 3));
        // A long text is cut in the statistics, which then do not tell.
        let long = "a".repeat(1000);
        let long = (true, 1, Some(long.as_str()));
        assert!(found(&[&[long, long]])[2].is_none());
    }

    #[test]
    fn rows_that_differ_within_a_group_or_between_two_are_read() {
        let (one, other) = ((true, 1, Some("a")), (false, 2, Some("b")));
        for groups in [&[&[one, other][..]][..], &[&[one], &[other]]] {
            assert_eq!(found(groups).map(|column| column.is_some()), [false; 3]);
        }
        let (text, none) = ((true, 1, Some("a")), (true, 1, None));
        for groups in [&[&[text, none][..]][..], &[&[text], &[none]]] {
            let known = found(groups).map(|column| column.is_some());
            assert_eq!(known, [true, true, false]);
        }
    }
}
