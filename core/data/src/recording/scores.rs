//! What a file of another tool's results says of each prompt: the numbers by which two such files can be held against each
//! other. It is read as every recording is; only the ids and the marks are looked at.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use driftgauge_problem::Problem;
use driftgauge_record::VerdictLabel;
use driftgauge_record::value::{column, scalar_text};
use driftgauge_spec::spec::RecordedFormat;
use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use super::cells::{failure, place};
use super::put::{put, question};
use super::settings::Settings;
use super::{Asked, RecordedMapping, layouts, pairing, said, select};
use crate::dataset::{Row, names};

/// How a file is to be read, where that is said.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The layout; told by what stands in the file when absent.
    pub layout: Option<RecordedFormat>,
    /// Column of the ids; the layout's own when absent.
    pub id: Option<String>,
    /// Expression over the columns that a row has to fulfil.
    pub filter: Option<String>,
}

/// What a number of a file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Whether an answer is right.
    Accuracy,
    /// Whether a judge called an answer unsafe.
    Unsafe(String),
    /// Another number of the tool, by its name.
    Other(String),
}

/// One number of each prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marks {
    /// Field of the file that it comes from.
    pub source: String,
    /// The mean over a prompt's completions that have one, in the order of the ids; `None` where none has.
    pub values: Vec<Option<f64>>,
}

/// The marks of a file, by prompt.
#[derive(Debug, Clone)]
pub struct Marked {
    /// The file.
    pub path: PathBuf,
    /// Its layout.
    pub layout: RecordedFormat,
    /// Ids of the prompts.
    pub ids: Vec<String>,
    /// Whether the ids are nothing but the tool's own count of its rows.
    pub counted: bool,
    /// What was asked under each id, and what is right there, by the field that says it, where the layout keeps it.
    pub asked: HashMap<String, BTreeMap<&'static str, Value>>,
    /// How the question was put to the model, where the layout has it: its digest with examples and template, its choices, its words.
    pub put: HashMap<String, BTreeMap<&'static str, Value>>,
    /// How the answers were made and marked.
    pub settings: Settings,
    /// Most completions of a prompt.
    pub completions: usize,
    /// The numbers.
    pub marks: IndexMap<Measure, Marks>,
    /// What was read otherwise than it is written.
    pub notes: Vec<String>,
    /// Columns whose values are as good as ids: a different text in every row.
    pub distinct: IndexMap<String, IndexSet<String>>,
}

/// Reads the marks of a file.
///
/// # Errors
/// When its layout is not known, it has no ids, or a row is unusable.
pub fn marks_of(path: &Path, wanted: &Wanted) -> Result<Marked, Problem> {
    let format = match wanted.layout {
        Some(format) => format,
        None => layouts::layout_of(path)?,
    };
    let mut mapping = mapping(format, wanted);
    let mut table = layouts::read(path, &mapping)?;
    if matches!(format, RecordedFormat::Rows(_)) {
        table.rows.iter_mut().for_each(unpack);
    }
    let rows = select(path, &mapping, &table.rows)?;
    let Some(first) = rows.first() else {
        return Err(refused(path, "has no row that fits").help("look at `--filter`"));
    };
    if matches!(format, RecordedFormat::Rows(_)) {
        own_columns(&mut mapping, &rows);
    }
    let mut mapping = layouts::with_columns(mapping, &rows, false);
    let id = match wanted.id.clone().or(mapping.id.clone()) {
        Some(id) if rows.iter().any(|row| column(&row.columns, &id).is_some()) => id,
        Some(id) => {
            let known = names(&first.columns);
            return Err(refused(path, &format!("has no column `{id}`"))
                .help(format!("its columns are {known}")));
        }
        None => {
            let known = names(&first.columns);
            return Err(refused(
                path,
                "names no ids, and rows are never paired by their places",
            )
            .help(format!(
                "say which column has them with `--id`; its columns are {known}"
            )));
        }
    };
    mapping.id = Some(id);
    one_answer_of_each(path, format, &rows)?;
    super::check(path, &mapping, &rows)?;
    let asked = Asked {
        condition: "default",
        judged: false,
        dataset_id: Some("id"),
    };
    let by_sample = pairing::index(&mapping, &rows, asked, path)?;
    let mut prompts: BTreeMap<&str, Vec<(usize, &Row)>> = BTreeMap::new();
    for ((id, position), row) in &by_sample {
        prompts.entry(id).or_default().push((*position, row));
    }
    for rows in prompts.values_mut() {
        rows.sort_unstable_by_key(|(position, _)| *position);
    }
    let mut marked = Marked {
        path: path.to_owned(),
        layout: format,
        ids: prompts.keys().map(|id| (*id).to_owned()).collect(),
        counted: wanted.id.is_none() && counts(format, &rows),
        asked: HashMap::new(),
        put: HashMap::new(),
        settings: said::of_rows(&table.settings, &mapping, &rows),
        completions: prompts.values().map(Vec::len).max().unwrap_or(0),
        marks: IndexMap::new(),
        notes: table.notes,
        distinct: distinct(&rows),
    };
    for (id, rows) in &prompts {
        if let Some((_, row)) = rows.first() {
            marked.asked.insert((*id).to_owned(), question(format, row));
            marked.put.insert((*id).to_owned(), put(format, row));
        }
    }
    // What was not made is neither right nor wrong, whatever stands beside its error.
    let made = |row: &Row| failure(&mapping, row).is_none();
    let failed = by_sample.values().filter(|row| !made(row)).count();
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy().into_owned();
    if failed > 0 {
        marked.notes.push(format!(
            "`{name}`: {failed} of {} completions were not made (they have an error), and count in no number",
            by_sample.len()
        ));
    }
    for (measure, source, cell) in measures(format, &mapping, &rows) {
        let mut values = Vec::with_capacity(prompts.len());
        let mut unmarked = 0;
        for rows in prompts.values() {
            let (mut sum, mut known) = (0.0, 0);
            for (_, row) in rows.iter().filter(|(_, row)| made(row)) {
                let mark = mark(&measure, column(&row.columns, &cell));
                let said = |problem: Problem| problem.prefixed(&format!("{}: ", place(path, row)));
                match mark.map_err(said)? {
                    Some(mark) => {
                        sum += mark;
                        known += 1;
                    }
                    None => unmarked += 1,
                }
            }
            values.push((known > 0).then(|| sum / f64::from(known)));
        }
        // Verdicts that are none are told by their kinds.
        if unmarked > 0 && measure == Measure::Accuracy {
            marked.notes.push(format!(
                "`{name}`: {unmarked} of {} completions are neither right nor wrong by `{source}`, and count in no accuracy",
                by_sample.len()
            ));
        }
        if values.iter().any(Option::is_some) {
            marked.marks.insert(measure, Marks { source, values });
        }
    }
    Ok(marked)
}

/// Objects that tables hold as text, as `export` writes them into CSV and Parquet.
fn unpack(row: &mut Row) {
    for name in ["verdicts", "values"] {
        if let Some(Value::String(text)) = row.columns.get(name)
            && let Ok(object) = serde_json::from_str::<Map<String, Value>>(text)
        {
            row.columns.insert(name.to_owned(), object.into());
        }
    }
}

fn refused(path: &Path, what: &str) -> Problem {
    Problem::new("not-comparable", format!("`{}` {what}", path.display())).of_input()
}

fn mapping(format: RecordedFormat, wanted: &Wanted) -> RecordedMapping {
    RecordedMapping {
        id: wanted.id.clone(),
        filter: wanted.filter.clone(),
        ..RecordedMapping::of(format)
    }
}

/// Columns of rows of one's own, by the names that other layouts give them, and that `export` writes.
fn own_columns(mapping: &mut RecordedMapping, rows: &[&Row]) {
    let has = |name: &str| rows.iter().any(|row| column(&row.columns, name).is_some());
    let first = |names: &[&str]| {
        let mut names = names.iter();
        names.find(|name| has(name)).map(|name| (*name).to_owned())
    };
    mapping.id = mapping.id.take().or_else(|| first(&["sample_id", "id"]));
    mapping.sample = first(&["sample_index", "sample"]);
    mapping.error = first(&["error"]);
    mapping.finish_reason = first(&["finish_reason"]);
    if let Some(cell) = first(&["correct", "values.correct"]) {
        mapping.values.insert("correct".to_owned(), cell);
    }
    if has("verdict") {
        mapping
            .verdicts
            .insert("recorded".to_owned(), "verdict".to_owned());
    }
    for row in rows {
        let judged = row.columns.get("verdicts").and_then(Value::as_object);
        for (judge, verdict) in judged.into_iter().flatten() {
            let inside = if verdict.is_object() { ".label" } else { "" };
            let cell = format!("verdicts.{judge}{inside}");
            mapping.verdicts.entry(judge.clone()).or_insert(cell);
        }
    }
}

/// lm-eval writes a line for each way to take the answer out of a text.
fn one_answer_of_each(path: &Path, format: RecordedFormat, rows: &[&Row]) -> Result<(), Problem> {
    if format != RecordedFormat::LmEval {
        return Ok(());
    }
    let filters = rows
        .iter()
        .filter_map(|row| row.columns.get("filter")?.as_str());
    let filters: IndexSet<&str> = filters.collect();
    let Some(first) = filters.first().filter(|_| filters.len() > 1) else {
        return Ok(());
    };
    let all: Vec<String> = filters.iter().map(|name| format!("`{name}`")).collect();
    Err(refused(
        path,
        &format!("holds the answers of several filters: {}", all.join(", ")),
    )
    .help(format!(
        "choose one with `--filter 'filter == \"{first}\"'`"
    )))
}

/// Whether the ids of a layout are its own count of rows.
fn counts(format: RecordedFormat, rows: &[&Row]) -> bool {
    match format {
        RecordedFormat::Rows(_) | RecordedFormat::Harmbench => false,
        // inspect counts where its dataset has no ids.
        RecordedFormat::Inspect => rows
            .iter()
            .all(|row| row.columns.get("id").is_some_and(Value::is_number)),
        RecordedFormat::LmEval
        | RecordedFormat::Promptfoo
        | RecordedFormat::Garak
        | RecordedFormat::Jailbreakbench => true,
    }
}

/// The columns that hold a different text in every row, a level deep.
fn distinct(rows: &[&Row]) -> IndexMap<String, IndexSet<String>> {
    let mut columns: IndexSet<String> = IndexSet::new();
    for (name, value) in rows.iter().take(1).flat_map(|row| &row.columns) {
        match value {
            Value::Object(fields) => {
                columns.extend(fields.keys().map(|key| format!("{name}.{key}")));
            }
            _ => {
                columns.insert(name.clone());
            }
        }
    }
    let texts = |name: &String| {
        let mut seen = IndexSet::new();
        for row in rows {
            let text = column(&row.columns, name).and_then(scalar_text)?;
            if !seen.insert(text) {
                return None;
            }
        }
        Some(seen)
    };
    let found = columns
        .into_iter()
        .filter_map(|name| texts(&name).map(|texts| (name, texts)));
    found.collect()
}

/// The numbers of a file: what each is, the field that says it, and the column it stands in.
pub(super) fn measures(
    format: RecordedFormat,
    mapping: &RecordedMapping,
    rows: &[&Row],
) -> Vec<(Measure, String, String)> {
    let mut out = Vec::new();
    for (judge, cell) in &mapping.verdicts {
        let source = match format {
            RecordedFormat::Harmbench => "label",
            RecordedFormat::Jailbreakbench => "jailbroken",
            RecordedFormat::Promptfoo => "success",
            _ => judge,
        };
        out.push((
            Measure::Unsafe(judge.clone()),
            source.to_owned(),
            cell.clone(),
        ));
    }
    let further = further(format, rows);
    if let Some(cell) = mapping.values.get("correct") {
        let marked = |name: &&String| layouts::CORRECT.contains(&name.as_str());
        let source = match format {
            RecordedFormat::LmEval => further.keys().find(marked).cloned(),
            // One scorer, or none would be taken.
            RecordedFormat::Inspect => further.keys().next().cloned(),
            RecordedFormat::Promptfoo => Some("success".to_owned()),
            _ => Some("correct".to_owned()),
        };
        out.push((Measure::Accuracy, source.unwrap_or_default(), cell.clone()));
    }
    for (name, cell) in further {
        out.push((Measure::Other(name.clone()), name, cell));
    }
    out
}

/// Further numbers that a tool gives each row, by name: the column of each.
fn further(format: RecordedFormat, rows: &[&Row]) -> IndexMap<String, String> {
    let mut out = IndexMap::new();
    for row in rows {
        match format {
            RecordedFormat::LmEval => {
                let named = row.columns.get("metrics").and_then(Value::as_array);
                let named = named.into_iter().flatten().filter_map(Value::as_str);
                for name in named.chain(layouts::CORRECT) {
                    if row.columns.contains_key(name) {
                        out.insert(name.to_owned(), name.to_owned());
                    }
                }
                // Up to 0.4.2 no list names them.
                if !row.columns.contains_key("metrics") {
                    for name in ["acc_norm", "f1", "mc1", "mc2"] {
                        if row.columns.contains_key(name) {
                            out.insert(name.to_owned(), name.to_owned());
                        }
                    }
                }
            }
            RecordedFormat::Inspect => {
                let scores = row.columns.get("scores").and_then(Value::as_object);
                for scorer in scores.into_iter().flat_map(|scores| scores.keys()) {
                    out.insert(scorer.clone(), format!("scores.{scorer}"));
                }
            }
            RecordedFormat::Promptfoo => {
                out.insert("score".to_owned(), "score".to_owned());
            }
            _ => {}
        }
    }
    out
}

/// The number of a cell; `None` where it says none.
///
/// # Errors
/// When what should tell right from wrong does not.
fn mark(measure: &Measure, cell: Option<&Value>) -> Result<Option<f64>, Problem> {
    if let Measure::Unsafe(_) = measure {
        let word = cell.and_then(scalar_text).unwrap_or_default();
        return Ok(
            match VerdictLabel::parse(&word.trim().to_ascii_lowercase()) {
                Some(VerdictLabel::Unsafe) => Some(1.0),
                Some(VerdictLabel::Safe) => Some(0.0),
                // None of them is a verdict.
                Some(VerdictLabel::Unparsable | VerdictLabel::Error | VerdictLabel::Scored)
                | None => None,
            },
        );
    }
    let cell = match cell {
        // The export keeps lists.
        Some(Value::Array(items)) if items.len() == 1 => items.first(),
        other => other,
    };
    let found = match cell {
        Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" if *measure == Measure::Accuracy => Some(1.0),
            "false" if *measure == Measure::Accuracy => Some(0.0),
            other => other.parse().ok(),
        },
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::Bool(flag)) => Some(f64::from(u8::from(*flag))),
        _ => None,
    };
    let found = found.filter(|mark: &f64| mark.is_finite());
    if *measure != Measure::Accuracy {
        return Ok(found);
    }
    match (found, cell) {
        (Some(mark), _) if (0.0..=1.0).contains(&mark) => Ok(Some(mark)),
        (None, None | Some(Value::Null)) => Ok(None),
        (_, other) => {
            let other = other.unwrap_or(&Value::Null);
            Err(Problem::failed(format!(
                "{other} tells nothing of whether an answer is right"
            ))
            .help("`correct` is 1 or true, 0 or false, a share between them, or null where nobody knows"))
        }
    }
}

#[cfg(test)]
mod tests;
