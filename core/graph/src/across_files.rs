//! Two files of results that other tools wrote, held against each other prompt by prompt: the paired tests that those tools
//! lack. Nothing pairs by its place.

use std::collections::{BTreeMap, HashSet};

use driftgauge_compare::{Clusters, between_models};
use driftgauge_data::recording::{Marked, Marks, Measure};
use driftgauge_plugin_protocol::wire::{MetricOutput, Scalar, ScoreKind, Scores};
use driftgauge_problem::{Problem, Result};
use driftgauge_spec::spec::{Adjust, RecordedFormat};
use driftgauge_stats::bootstrap::Options;

use crate::across::{Across, comparison};
use crate::resolved_comparisons::ResolvedFamily;

/// What stands for the evaluation in the name of a number.
const EVALUATION: &str = "files";
/// Most ids of a message.
const IDS_SHOWN: usize = 3;

/// Holds file `b` against file `a`, number by number, over the prompts of both, which have to be the same ones unless only
/// those that both have are asked for (`shared`). P-values are adjusted together by Holm.
///
/// # Errors
/// When what stands in the files does not belong together; the message says why.
pub fn compare_files(a: &Marked, b: &Marked, shared: bool) -> Result<Across> {
    let ids = pairs(a, b, shared)?;
    same_questions(a, b, &ids)?;
    told_apart(a, b, &ids)?;
    let mut out = Across {
        notes: [&a.notes[..], &b.notes[..]].concat(),
        ..Across::default()
    };
    out.notes.extend(put_otherwise(a, b, &ids));
    let differences = a.settings.differences(&b.settings, a.layout != b.layout);
    out.notes.extend(differences.into_iter().map(|differing| {
        let [ours, theirs] = differing.sides;
        let setting = differing.setting;
        format!("`{setting}` is {ours} in A and {theirs} in B: what differs between the files may come from that")
    }));
    let left = (a.ids.len() - ids.len(), b.ids.len() - ids.len());
    if left != (0, 0) {
        out.notes.push(format!(
            "{} prompts are in both files; {} of A and {} of B are in one only and left out",
            ids.len(),
            left.0,
            left.1
        ));
    }
    if a.completions.max(b.completions) > 1 {
        out.notes.push(format!(
            "a prompt counts once, with the mean over its completions (up to {} in A and {} in B)",
            a.completions, b.completions
        ));
    }
    let names = [a, b].map(name_of);
    for (measure, ours) in &a.marks {
        let Some(theirs) = b.marks.get(measure) else {
            continue;
        };
        // One number under two names is one number.
        let earlier = a.marks.iter().take_while(|(known, _)| *known != measure);
        let same = |(known, one): (&Measure, &Marks)| {
            let other = b.marks.get(known).map(|other| &other.values);
            one.values == ours.values && other == Some(&theirs.values)
        };
        if earlier.into_iter().any(same) {
            continue;
        }
        if ours.source != theirs.source {
            out.notes.push(format!(
                "{}: A says it by `{}` and B by `{}`, which may mark in different ways",
                title(measure),
                ours.source,
                theirs.source
            ));
        }
        let wanted: HashSet<&str> = ids.iter().copied().collect();
        let [ours, theirs] =
            [(a, ours), (b, theirs)].map(|(file, marks)| output(measure, file, marks, &wanted));
        let found = between_models(&ours, &theirs, (Options::default(), &Clusters::default()))?;
        let metric = metric(measure);
        out.comparisons.extend(
            found
                .into_iter()
                .map(|pair| comparison(EVALUATION, &metric, (&names[0], &names[1]), pair)),
        );
    }
    if out.comparisons.is_empty() {
        return Err(nothing_shared(a, b));
    }
    for (file, other, which) in [(a, b, "A"), (b, a, "B")] {
        let only = file
            .marks
            .keys()
            .filter(|measure| !other.marks.contains_key(*measure));
        let only: Vec<String> = only.map(title).collect();
        if !only.is_empty() {
            out.notes
                .push(format!("in {which} only: {}", only.join(", ")));
        }
    }
    let family = ResolvedFamily {
        lines: Vec::new(),
        id: "primary".to_owned(),
        members: a
            .marks
            .keys()
            .map(|measure| format!("{EVALUATION}/{}", metric(measure)))
            .collect(),
        adjust: Adjust::Holm,
        per_model: false,
    };
    out.adjust(&[family]);
    Ok(out)
}

/// The ids that are compared.
fn pairs<'a>(a: &'a Marked, b: &Marked, shared: bool) -> Result<Vec<&'a str>> {
    if a.layout != b.layout
        && let Some((file, which)) = [(a, "A"), (b, "B")]
            .into_iter()
            .find(|(file, _)| file.counted)
    {
        return Err(refused(format!(
            "{which} counts its rows, as {} does, and that count is no id of {}",
            file.layout.name(),
            if which == "A" { b } else { a }.layout.name()
        ))
        .help(columns_of_ids(a, b)));
    }
    let theirs: HashSet<&str> = b.ids.iter().map(String::as_str).collect();
    let both: Vec<&str> = a
        .ids
        .iter()
        .map(String::as_str)
        .filter(|id| theirs.contains(id))
        .collect();
    if both.is_empty() {
        return Err(refused(format!(
            "the files have no id in common: A has {}, B has {}",
            shown(&a.ids),
            shown(&b.ids)
        ))
        .help(columns_of_ids(a, b)));
    }
    let ours: HashSet<&str> = both.iter().copied().collect();
    let missing = |file: &Marked| -> Vec<String> {
        let missing = file.ids.iter().filter(|id| !ours.contains(id.as_str()));
        missing.cloned().collect()
    };
    let (of_a, of_b) = (missing(a), missing(b));
    let alike = of_a.is_empty() && of_b.is_empty();
    if !shared && !alike {
        let sides = [(of_a, "A"), (of_b, "B")].into_iter();
        let sides = sides.filter(|(ids, _)| !ids.is_empty());
        let sides: Vec<String> = sides
            .map(|(ids, which)| format!("{} only in {which} ({})", ids.len(), shown(&ids)))
            .collect();
        return Err(refused(format!(
            "the files do not hold the same prompts: {} and {} ids, {}",
            a.ids.len(),
            b.ids.len(),
            sides.join(", ")
        ))
        .help(format!(
            "`--shared` compares the {} that both have",
            both.len()
        )));
    }
    Ok(both)
}

/// One id that stands for two questions, or for two right answers, pairs nothing. Fields that one of the files lacks say nothing.
fn same_questions(a: &Marked, b: &Marked, ids: &[&str]) -> Result<()> {
    let of_rows = |file: &Marked| matches!(file.layout, RecordedFormat::Rows(_));
    if a.layout != b.layout && !(of_rows(a) && of_rows(b)) {
        return Ok(());
    }
    let other_field = |id: &str| {
        let (ours, theirs) = a.asked.get(id).zip(b.asked.get(id))?;
        let mut both = ours.iter().filter(|(field, _)| theirs.contains_key(*field));
        both.find_map(|(field, said)| (theirs[field] != *said).then_some(*field))
    };
    let different = ids.iter().filter_map(|id| Some((*id, other_field(id)?)));
    let different: Vec<(&str, &str)> = different.collect();
    let Some((first, field)) = different.first() else {
        return Ok(());
    };
    Err(refused(format!(
        "`{first}` is another question in B than in A (by `{field}`), as are {} of {} ids",
        different.len(),
        ids.len()
    ))
    .help("both files have to be of the same data in the same version; name a column of ids that says what pairs with `--id`"))
}

/// A tool's count of its rows is an id where both files say what was asked under it, and a place where they do not.
fn told_apart(a: &Marked, b: &Marked, ids: &[&str]) -> Result<()> {
    if !(a.counted && b.counted) {
        return Ok(());
    }
    let silent = ids.iter().find(|id| {
        let both = a.asked.get(**id).zip(b.asked.get(**id));
        both.is_none_or(|(ours, theirs)| {
            let mut asked = ours.keys().filter(|field| !RIGHT.contains(field));
            !asked.any(|field| theirs.contains_key(field))
        })
    });
    let Some(id) = silent else {
        return Ok(());
    };
    Err(refused(format!(
        "`{id}` is a count of rows, and the files do not both say what was asked under it, so that prompts would be paired by their places"
    ))
    .help("write the samples with their documents, or name a column of ids with `--id`"))
}

/// Fields that say what is right, which other questions may share.
const RIGHT: [&str; 4] = ["target", "references", "reference", "testCase.assert"];

/// Tells of questions that are the same and were put in other words: other examples before them, or another chat template. That may
/// be meant, and is then a part of the difference.
fn put_otherwise(a: &Marked, b: &Marked, ids: &[&str]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (ours, theirs) in ids
        .iter()
        .filter_map(|id| a.put.get(*id).zip(b.put.get(*id)))
    {
        for (field, said) in ours {
            if theirs.get(field).is_some_and(|other| other != said) {
                *counts.entry(field).or_default() += 1;
            }
        }
    }
    let notes = counts.into_iter().map(|(field, count)| {
        format!(
            "{count} of {} prompts were put to B in other words than to A (`{field}`): examples, choices or chat template differ, and so may the numbers",
            ids.len()
        )
    });
    notes.collect()
}

fn nothing_shared(a: &Marked, b: &Marked) -> Problem {
    let all = |file: &Marked| {
        let all: Vec<String> = file.marks.keys().map(title).collect();
        match all.is_empty() {
            true => "no number of single prompts".to_owned(),
            false => all.join(", "),
        }
    };
    refused(format!(
        "the files have no number in common: A has {}, B has {}",
        all(a),
        all(b)
    ))
    .help("verdicts of other judges, and scores of other names, are other measures; `driftgauge run` judges recorded answers anew (`recorded`)")
}

/// What to do about ids that do not pair, with the columns that would.
fn columns_of_ids(a: &Marked, b: &Marked) -> String {
    for (one, ours) in with_ids(a) {
        for (other, theirs) in with_ids(b) {
            if ours.len() == theirs.len() && ours.iter().all(|id| theirs.contains(id)) {
                return format!("`--id {one},{other}` names columns with the same texts in both");
            }
        }
    }
    "name the columns that identify a prompt with `--id COLUMN_OF_A,COLUMN_OF_B`".to_owned()
}

/// The columns of a file that may be ids: texts that are no counts.
fn with_ids(file: &Marked) -> Vec<(&str, HashSet<&str>)> {
    let columns = file
        .distinct
        .iter()
        .filter(|(_, texts)| !texts.iter().all(|text| text.parse::<f64>().is_ok()));
    columns
        .map(|(name, texts)| (name.as_str(), texts.iter().map(String::as_str).collect()))
        .collect()
}

fn refused(message: String) -> Problem {
    Problem::new("not-comparable", message).of_input()
}

fn shown(ids: &[String]) -> String {
    let first: Vec<String> = ids
        .iter()
        .take(IDS_SHOWN)
        .map(|id| format!("`{id}`"))
        .collect();
    let more = if ids.len() > IDS_SHOWN { ", ..." } else { "" };
    first.join(", ") + more
}

/// The name of a file without folders.
fn name_of(file: &Marked) -> String {
    let name = file.path.file_name().unwrap_or(file.path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The name of a number in tables.
fn metric(measure: &Measure) -> String {
    match measure {
        Measure::Accuracy => "accuracy".to_owned(),
        Measure::Unsafe(judge) if judge == "recorded" => "asr".to_owned(),
        Measure::Unsafe(judge) => format!("asr by {judge}"),
        Measure::Other(name) => name.clone(),
    }
}

/// The same for sentences.
fn title(measure: &Measure) -> String {
    format!("`{}`", metric(measure))
}

/// The marks as what a metric keeps.
fn output(measure: &Measure, file: &Marked, marks: &Marks, wanted: &HashSet<&str>) -> MetricOutput {
    let rows = file.ids.iter().zip(&marks.values);
    let rows: Vec<(&String, &Option<f64>)> = rows
        .filter(|(id, _)| wanted.contains(id.as_str()))
        .collect();
    let known: Vec<f64> = rows.iter().filter_map(|(_, value)| **value).collect();
    let scalar = Scalar::new("score", &metric(measure), "default").primary();
    let is_share = known.iter().all(|value| (0.0..=1.0).contains(value));
    let scalar = match is_share {
        true => scalar.unit("ratio"),
        false => scalar,
    };
    let mut output = MetricOutput::new();
    output.scalars.push(match measure {
        Measure::Accuracy => scalar.higher_is_better(),
        Measure::Unsafe(_) => scalar.lower_is_better(),
        Measure::Other(_) => scalar,
    });
    output.scores.push(Scores {
        id: "score".to_owned(),
        condition: "default".to_owned(),
        kind: match known.iter().all(|value| *value == 0.0 || *value == 1.0) {
            true => ScoreKind::Binary,
            false => ScoreKind::Real,
        },
        sample_ids: rows.iter().map(|(id, _)| id.as_str()).collect(),
        values: rows.iter().map(|(_, value)| **value).collect(),
    });
    output
}
