//! Parquet files against the rows that pyarrow finds in them (`tests/python/make_parquet.py`). A file dropped into the folder is
//! tested by itself.

use std::fs;
use std::path::Path;

use driftgauge_data::dataset::read_table;
use driftgauge_spec::spec::DatasetFormat;
use serde_json::Value;

#[test]
fn every_file_has_the_rows_that_pyarrow_finds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "parquet") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(path.with_extension("json")).expect("its rows");
        let wanted: Value = serde_json::from_str(&text).expect("JSON");
        let read = read_table(&path, DatasetFormat::Parquet);
        let Value::Array(wanted) = wanted else {
            assert!(read.is_err(), "{} has to be refused", path.display());
            continue;
        };
        let rows = read.unwrap_or_else(|error| panic!("{error}")).rows;
        assert_eq!(rows.len(), wanted.len(), "{}", path.display());
        for (row, wanted) in rows.iter().zip(wanted) {
            let columns: serde_json::Map<String, Value> = row.columns.clone().into_iter().collect();
            assert_eq!(
                Value::Object(columns),
                wanted,
                "{}, row {}",
                path.display(),
                row.id
            );
        }
    }
    assert!(seen >= 10, "only {seen} files");
}

/// Numbers of classes stay numbers, and what they stand for is told.
#[test]
fn names_of_classes_are_noted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    let read = |name: &str| read_table(&folder.join(name), DatasetFormat::Parquet);
    let notes = read("classes.parquet").expect("rows").notes;
    assert!(
        notes.len() == 1 && notes[0].contains("`label`") && notes[0].contains("1 is `pos`"),
        "{notes:?}"
    );
    let Err(error) = read("duration.parquet") else {
        panic!("a duration is refused");
    };
    let says = "the column `took` is of the type Duration";
    assert!(error.to_string().contains(says), "{error}");
    // A decimal keeps its digits, which may be more than a number has.
    let rows = read("decimal-long.parquet").expect("rows").rows;
    assert_eq!(rows[1].columns["sum"], "12345678901234567.89");
}

/// `types.parquet` has one NaN among its numbers, in the column `double`; `bytes-no-text.parquet` is wrong in its second row.
#[test]
fn numbers_that_are_none_are_noted_and_rows_are_counted_from_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    let read = |name: &str| read_table(&folder.join(name), DatasetFormat::Parquet);
    let notes = read("types.parquet").expect("rows").notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains('1') && notes[0].contains("types.parquet"),
        "{notes:?}"
    );
    let clean = read("codec-none.parquet").expect("rows").notes;
    assert!(clean.is_empty(), "{clean:?}");
    let Err(error) = read("bytes-no-text.parquet") else {
        panic!("bytes are no text");
    };
    assert!(
        error
            .to_string()
            .contains("bytes-no-text.parquet`, row 2: "),
        "{error}"
    );
}
