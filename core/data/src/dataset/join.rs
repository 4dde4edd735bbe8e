//! Several files as one dataset: shards with the same columns, one behind the other, and columns of another file beside each row.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use driftgauge_record::value;
use indexmap::IndexMap;
use serde_json::Value;

use super::access::Columns;
use super::{DatasetError, Row, names};

/// What the cells of a column are in a file, and the file that said it first.
type Kinds = IndexMap<String, Option<&'static str>>;

/// The columns that the files of one dataset have.
#[derive(Debug, Default)]
pub(super) struct OneSchema {
    known: Option<(PathBuf, Kinds)>,
}

impl OneSchema {
    /// Holds the columns of one more file against those of the first one.
    ///
    /// # Errors
    /// When one of them lacks a column, or has cells of another type in it.
    pub(super) fn add(&mut self, path: &Path, rows: &[Columns]) -> Result<(), DatasetError> {
        let kinds = kinds(rows);
        let Some((first, known)) = &mut self.known else {
            self.known = Some((path.to_owned(), kinds));
            return Ok(());
        };
        // A file without rows says nothing.
        if kinds.is_empty() || known.is_empty() {
            if known.is_empty() {
                (*first, *known) = (path.to_owned(), kinds);
            }
            return Ok(());
        }
        let name = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("`{name}`")
        };
        let lacking = |ours: &Kinds, theirs: &Kinds| {
            ours.keys()
                .find(|column| !theirs.contains_key(*column))
                .cloned()
        };
        let lacks = lacking(known, &kinds)
            .map(|column| (column, name(path), name(first)))
            .or_else(|| Some((lacking(&kinds, known)?, name(first), name(path))));
        let problem = match lacks {
            Some((column, without, with)) => {
                format!("{without} has no column `{column}`, which {with} has")
            }
            None => {
                let other = kinds.iter().find_map(|(column, kind)| {
                    let before = known[column].as_ref()?;
                    let kind = kind.as_ref()?;
                    (before != kind).then(|| {
                        format!(
                            "column `{column}` is {kind} in {}, and {before} in {}",
                            name(path),
                            name(first)
                        )
                    })
                });
                match other {
                    Some(problem) => problem,
                    None => {
                        for (column, kind) in kinds {
                            known[&column] = known[&column].or(kind);
                        }
                        return Ok(());
                    }
                }
            }
        };
        Err(DatasetError::Id {
            path: path.parent().unwrap_or(path).to_owned(),
            problem: format!("the files of one dataset have the same columns: {problem}"),
            hint: "name the files that belong together by a pattern, or make datasets of them one by one".to_owned(),
        })
    }
}

/// What stands in each column: nothing where all is null.
fn kinds(rows: &[Columns]) -> Kinds {
    let mut out = Kinds::new();
    for row in rows {
        for (column, cell) in row {
            let known = out.entry(column.clone()).or_insert(None);
            if known.is_none() && !cell.is_null() {
                *known = Some(value::kind(cell));
            }
        }
    }
    out
}

/// Puts the columns of each row's partner beside its own: the row of `partners` with the same value in the column `on`. What is said
/// of partners that nobody has.
///
/// # Errors
/// When a row has no partner or two, or both have a column of the same name.
pub fn join(
    path: &Path,
    rows: &mut [Row],
    partners: Vec<Row>,
    on: &str,
) -> Result<Option<String>, DatasetError> {
    let wrong = |problem: String, hint: String| DatasetError::Id {
        path: path.to_owned(),
        problem,
        hint,
    };
    let key = |columns: &IndexMap<String, Value>| {
        value::column(columns, on)
            .and_then(value::scalar_text)
            .filter(|key| !key.trim().is_empty())
    };
    let mut both = rows.iter().chain(&partners);
    if let Some(row) = both.find(|row| value::is_ambiguous(&row.columns, on)) {
        let twice = super::twice(on);
        return Err(wrong(
            format!("row {} of what is joined: {twice}", number(row)),
            super::ONE_OF_TWO.to_owned(),
        ));
    }
    let mut known: HashMap<String, (Row, bool)> = HashMap::new();
    for partner in partners {
        let Some(id) = key(&partner.columns) else {
            return Err(wrong(
                format!(
                    "row {} of what is joined has nothing in column `{on}`",
                    number(&partner)
                ),
                format!("its columns are {}", names(&partner.columns)),
            ));
        };
        let at = number(&partner);
        if let Some((first, _)) = known.insert(id.clone(), (partner, false)) {
            return Err(wrong(
                format!(
                    "rows {} and {at} of what is joined have the same `{on}`, `{id}`",
                    number(&first)
                ),
                "each row has one partner; take the others out of that file".to_owned(),
            ));
        }
    }
    for row in rows {
        let own = key(&row.columns).ok_or_else(|| {
            wrong(
                format!(
                    "row {} has nothing in column `{on}`, by which it is joined",
                    number(row)
                ),
                format!("columns are {}", names(&row.columns)),
            )
        })?;
        let Some((partner, had)) = known.get_mut(&own) else {
            return Err(wrong(
                format!("row {} has no partner: `{on}` is `{own}`", number(row)),
                "what is joined has a row for each; add it there, or take the row out of this file"
                    .to_owned(),
            ));
        };
        *had = true;
        for (column, cell) in &partner.columns {
            if column == on {
                continue;
            }
            if row.columns.insert(column.clone(), cell.clone()).is_some() {
                return Err(wrong(
                    format!("both files have a column `{column}`"),
                    "rename it in one of them".to_owned(),
                ));
            }
        }
    }
    let left_over = known.values().filter(|(_, had)| !had).count();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok((left_over > 0).then(|| {
        format!("`{name}`: {left_over} rows of what is joined by `{on}` have no partner, and are left out")
    }))
}

/// The number of a row of a file, from 1.
fn number(row: &Row) -> usize {
    row.id.parse::<usize>().map_or(0, |number| number + 1)
}

#[cfg(test)]
mod tests {
    use super::super::read_table;
    use super::*;
    use driftgauge_spec::spec::DatasetFormat;
    use serde_json::json;

    fn rows(texts: &[(&str, &str)]) -> Vec<Row> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in texts {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        read_table(dir.path(), DatasetFormat::Jsonl).unwrap().rows
    }

    fn refused(texts: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in texts {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        read_table(dir.path(), DatasetFormat::Jsonl)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn shards_have_the_same_columns() {
        let one = ("a.jsonl", "{\"k\":1,\"q\":null}\n");
        assert_eq!(
            rows(&[one, ("b.jsonl", "{\"q\":\"x\",\"k\":2}\n"), ("c.jsonl", "")]).len(),
            2
        );
        let lacks = refused(&[one, ("b.jsonl", "{\"k\":2}\n")]);
        assert!(
            lacks.contains("`b.jsonl` has no column `q`, which `a.jsonl` has"),
            "{lacks}"
        );
        let other = refused(&[one, ("b.jsonl", "{\"k\":\"2\",\"q\":\"x\"}\n")]);
        assert!(
            other.contains("column `k` is text in `b.jsonl`, and a number in `a.jsonl`"),
            "{other}"
        );
    }

    #[test]
    fn each_row_has_one_partner() {
        let partners = || {
            rows(&[(
                "p.jsonl",
                "{\"id\":\"b\",\"kind\":\"x\"}\n{\"id\":\"a\",\"kind\":\"y\"}\n{\"id\":\"c\",\"kind\":\"z\"}\n",
            )])
        };
        let mut own = rows(&[(
            "o.jsonl",
            "{\"id\":\"a\",\"q\":1}\n{\"id\":\"b\",\"q\":2}\n",
        )]);
        let path = Path::new("o.jsonl");
        let note = join(path, &mut own, partners(), "id").unwrap().unwrap();
        assert!(note.contains("1 rows"), "{note}");
        let kinds: Vec<_> = own.iter().map(|row| &row.columns["kind"]).collect();
        assert_eq!(kinds, [&json!("y"), &json!("x")]);
        let mut missing = rows(&[("o.jsonl", "{\"id\":\"d\"}\n")]);
        let error = join(path, &mut missing, partners(), "id")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("row 1 has no partner: `id` is `d`"),
            "{error}"
        );
        let twice = rows(&[("p.jsonl", "{\"id\":\"a\"}\n{\"id\":\"a\"}\n")]);
        let error = join(path, &mut own, twice, "id").unwrap_err().to_string();
        assert!(error.contains("rows 1 and 2 of what is joined"), "{error}");
        let error = join(path, &mut own, partners(), "id")
            .unwrap_err()
            .to_string();
        assert!(error.contains("both files have a column `kind`"), "{error}");
    }
}
