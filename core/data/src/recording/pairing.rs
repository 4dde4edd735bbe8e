//! Which row of a recording is which sample: by id, never by place.

use std::collections::HashMap;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::value;
use driftgauge_spec::spec::RecordedFormat;

use super::cells::{place, sample_index};
use super::{Asked, RecordedMapping};
use crate::dataset::Row;

/// The column whose values pair with the ids of a dataset; `None` where both count their rows.
///
/// # Errors
/// When one of the two has ids and nothing says where those of the other are.
pub(super) fn id_column(
    mapping: &RecordedMapping,
    rows: &[&Row],
    dataset_id: Option<&str>,
) -> Result<Option<String>, Problem> {
    if dataset_id.is_none()
        && let Some(column) = own_ids(mapping, rows)
    {
        return Err(undeclared(column));
    }
    if let Some(column) = &mapping.id {
        return Ok(Some(column.clone()));
    }
    let (counted, within) = match mapping.format {
        RecordedFormat::Rows(_) => {
            return match dataset_id {
                None => Ok(None),
                Some(id) => Err(Problem::failed(format!("names no column of ids, and the dataset's rows are known by `{id}`"
                )).help("say where they are with `columns: {id: ...}`; rows are never paired by their numbers when there are ids")),
            };
        }
        // They have ids of their own.
        RecordedFormat::Harmbench | RecordedFormat::Inspect | RecordedFormat::Garak => {
            return Ok(Some("id".to_owned()));
        }
        RecordedFormat::LmEval => ("doc_id", "doc."),
        RecordedFormat::Promptfoo => ("testIdx", "vars."),
        RecordedFormat::Jailbreakbench => ("index", ""),
    };
    let Some(id) = dataset_id else {
        return Ok(Some("id".to_owned()));
    };
    let path = format!("{within}{id}");
    let has = |row: &&Row| {
        value::column(&row.columns, &path).is_some_and(|cell| value::scalar_text(cell).is_some())
    };
    if id == counted {
        return Ok(Some("id".to_owned()));
    }
    match rows.iter().all(has) {
        true => Ok(Some(path)),
        false => Err(Problem::failed(format!("counts its samples in `{counted}`, and has no `{path}`, by which the dataset's rows are known"
        )).help(format!("say `columns: {{id: {counted}}}` when `{id}` is the same number, or leave `id` out of the dataset when its rows stand in the same order"))),
    }
}

/// The column of a recording whose ids are more than a count of rows: only a count can stand for the places of a dataset's rows.
fn own_ids<'m>(mapping: &'m RecordedMapping, rows: &[&Row]) -> Option<&'m str> {
    let counts: &[&str] = match mapping.format {
        // Runs and `export` write our own count under this name where the dataset has no ids.
        RecordedFormat::Rows(_) => &["sample_id"],
        RecordedFormat::LmEval => &["id", "doc_id"],
        RecordedFormat::Promptfoo => &["id", "testIdx"],
        RecordedFormat::Jailbreakbench => &["id", "index"],
        // inspect counts where its dataset has no ids, in numbers.
        RecordedFormat::Inspect
            if rows
                .iter()
                .filter_map(|row| row.columns.get("id"))
                .all(serde_json::Value::is_number) =>
        {
            &["id"]
        }
        RecordedFormat::Inspect | RecordedFormat::Harmbench | RecordedFormat::Garak => &[],
    };
    match &mapping.id {
        Some(column) => (!counts.contains(&column.as_str())).then_some(column),
        None => (counts.is_empty()).then_some("id"),
    }
}

/// Why a recording with ids pairs with no dataset that declares none.
pub(super) fn undeclared(column: &str) -> Problem {
    Problem::failed(format!(
        "has ids in `{column}`, and the dataset declares none, so that its rows would be paired by their places"
    ))
    .help("say `id: COLUMN` in the dataset, the column that holds the same ids")
}

/// Rows of one condition by sample id and sample index.
pub(super) fn index<'a>(
    mapping: &RecordedMapping,
    rows: &[&'a Row],
    asked: Asked<'_>,
    path: &Path,
) -> Result<HashMap<(String, usize), &'a Row>, Problem> {
    let condition = asked.condition;
    let word = mapping
        .conditions
        .get(condition)
        .map_or(condition, String::as_str);
    let first_index = least_index(mapping, rows, path)?;
    let first_id = least_id(mapping, rows, asked);
    let mut out: HashMap<(String, usize), &Row> = HashMap::new();
    for &row in rows {
        let cell =
            |column: &String| value::column(&row.columns, column).and_then(value::scalar_text);
        if let Some(column) = &mapping.condition
            && cell(column).as_deref() != Some(word)
        {
            continue;
        }
        let mut id = match &mapping.id {
            None => row.id.clone(),
            Some(column) => cell(column)
                .filter(|id| !id.trim().is_empty())
                .ok_or_else(|| {
                    format!("{}: there is no id in column `{column}`", place(path, row))
                })?,
        };
        if let (1, Ok(counted)) = (first_id, id.parse::<u64>()) {
            id = (counted - 1).to_string();
        }
        // Without a column of the index every row is a first completion.
        let position = sample_index(mapping, row, &place(path, row))?.unwrap_or(0) - first_index;
        if let Some(first) = out.insert((id.clone(), position), row) {
            return Err(Problem::failed(format!("`{}` holds sample `{id}` more than once under condition `{condition}`: rows {} and {}",
                path.display(),
                first.number(),
                row.number()
            )).help("narrow the rows with `filter`, or name the column of the sample index with `sample` when they are several completions of one prompt"));
        }
    }
    Ok(out)
}

/// What the completions of a prompt are counted from: 0, or 1 where no row says 0.
fn least_index(mapping: &RecordedMapping, rows: &[&Row], path: &Path) -> Result<usize, Problem> {
    let mut least = None;
    for row in rows {
        if let Some(index) = sample_index(mapping, row, &place(path, row))? {
            least = Some(least.map_or(index, |least: usize| least.min(index)));
        }
    }
    Ok(usize::from(least == Some(1)))
}

/// What the samples of a log are counted from, where the tool counts them because the data has no ids: inspect begins with 1, a
/// dataset without ids with 0.
fn least_id(mapping: &RecordedMapping, rows: &[&Row], asked: Asked<'_>) -> u64 {
    if mapping.format != RecordedFormat::Inspect || asked.dataset_id.is_some() {
        return 0;
    }
    let Some(column) = &mapping.id else { return 0 };
    let ids = rows
        .iter()
        .map(|row| value::column(&row.columns, column).and_then(serde_json::Value::as_u64));
    ids.collect::<Option<Vec<u64>>>()
        .and_then(|ids| ids.into_iter().min())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::recording::tests::table;

    fn rows(values: &[Value]) -> Vec<Row> {
        let rows = values.iter().enumerate().map(|(number, value)| Row {
            id: number.to_string(),
            columns: value
                .as_object()
                .map(|fields| fields.clone().into_iter().collect())
                .unwrap_or_default(),
        });
        rows.collect()
    }

    fn asked(dataset_id: Option<&str>) -> Asked<'_> {
        Asked {
            condition: "default",
            judged: false,
            dataset_id,
        }
    }

    #[test]
    fn rows_pair_by_id_or_not_at_all() {
        let lines = rows(&[json!({"doc_id": 0, "doc": {"key": "a"}, "index": 1})]);
        let lines: Vec<&Row> = lines.iter().collect();
        let of = |format, dataset_id| {
            let mapping = RecordedMapping { format, ..table() };
            id_column(&mapping, &lines, dataset_id)
        };
        let named = |column: &str| Ok(Some(column.to_owned()));
        assert_eq!(of(table().format, None), Ok(None));
        let refused = of(table().format, Some("key")).unwrap_err().to_string();
        assert!(refused.contains("known by `key`"), "{refused}");
        assert_eq!(of(RecordedFormat::Harmbench, Some("key")), named("id"));
        assert_eq!(of(RecordedFormat::LmEval, None), named("id"));
        assert_eq!(of(RecordedFormat::LmEval, Some("key")), named("doc.key"));
        assert_eq!(of(RecordedFormat::LmEval, Some("doc_id")), named("id"));
        let refused = of(RecordedFormat::LmEval, Some("other"))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("no `doc.other`") && refused.contains("columns: {id: doc_id}"),
            "{refused}"
        );
    }

    #[test]
    fn ids_pair_with_no_count_of_rows() {
        let lines = rows(&[json!({"id": "0", "key": 0}), json!({"id": "1", "key": 1})]);
        let lines: Vec<&Row> = lines.iter().collect();
        let of = |format, id: Option<&str>| {
            let id = id.map(str::to_owned);
            let mapping = RecordedMapping {
                format,
                id,
                ..table()
            };
            id_column(&mapping, &lines, None)
        };
        for (format, id) in [
            (table().format, Some("id")),
            (RecordedFormat::Harmbench, None),
            (RecordedFormat::Garak, None),
            // Texts are ids that a dataset gave.
            (RecordedFormat::Inspect, None),
            (RecordedFormat::Inspect, Some("key")),
            (RecordedFormat::LmEval, Some("doc.key")),
        ] {
            let said = of(format, id).unwrap_err().to_string();
            assert!(
                said.contains("the dataset declares none") && said.contains("say `id: COLUMN`"),
                "{format:?}: {said}"
            );
        }
        // A count stands for places.
        for (format, id) in [
            (table().format, "sample_id"),
            (RecordedFormat::LmEval, "doc_id"),
            (RecordedFormat::Promptfoo, "testIdx"),
            (RecordedFormat::Jailbreakbench, "index"),
        ] {
            assert_eq!(of(format, Some(id)), Ok(Some(id.to_owned())), "{format:?}");
        }
    }

    #[test]
    fn what_counts_from_one_is_taken_as_such() {
        let mapping = RecordedMapping {
            format: RecordedFormat::Inspect,
            id: Some("id".to_owned()),
            sample: Some("epoch".to_owned()),
            ..table()
        };
        let all = rows(&[
            json!({"id": 1, "epoch": 1}),
            json!({"id": 1, "epoch": 2}),
            json!({"id": 2, "epoch": 1}),
            json!({"id": 2, "epoch": 2}),
        ]);
        let all: Vec<&Row> = all.iter().collect();
        let keys = |dataset_id, rows: &[&Row]| {
            let found = index(&mapping, rows, asked(dataset_id), Path::new("log.json")).unwrap();
            let mut keys: Vec<_> = found.into_keys().collect();
            keys.sort_unstable();
            keys
        };
        let key = |id: &str, index| (id.to_owned(), index);
        let counted = [key("0", 0), key("0", 1), key("1", 0), key("1", 1)];
        assert_eq!(keys(None, &all), counted);
        let named = [key("1", 0), key("1", 1), key("2", 0), key("2", 1)];
        assert_eq!(keys(Some("id"), &all), named, "ids of the dataset stay");
        // From 0 on, nothing is taken off.
        let zero = rows(&[json!({"id": 0, "epoch": 0}), json!({"id": 2, "epoch": 1})]);
        let zero: Vec<&Row> = zero.iter().collect();
        assert_eq!(keys(None, &zero), [key("0", 0), key("2", 1)]);
    }
}
