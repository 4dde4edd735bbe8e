//! Plain text for a terminal: the verdict, an aligned table, gates last.

use driftgauge_record::visible_line;

use super::found;
use super::headline::{alone, rows};
use crate::Report;
use crate::model::Effect;

pub(super) fn of(report: &Report) -> String {
    let mut out = format!("\n{} ({})\n", shown(&report.title), shown(&report.name));
    out.push_str(&format!("\n{}\n", shown(&report.verdict.summary)));
    for found in &report.verdict.models {
        out.push_str(&format!("\n  {}\n", shown(&found.model)));
        for sentence in &found.sentences {
            let word = word(sentence.effect);
            out.push_str(&format!("    {word:<9} {}\n", shown(&sentence.text)));
        }
        if found.more > 0 {
            out.push_str(&format!(
                "    {} more clear differences: the report has them\n",
                found.more
            ));
        }
        if found.unclear > 0 {
            out.push_str(&format!(
                "    no clear difference in {} of {} primary comparisons\n",
                found.unclear, found.compared
            ));
        }
    }
    if !report.verdict.others.is_empty() {
        out.push_str(&format!("\n  {}\n", shown(&report.verdict.others)));
    }
    for banner in &report.banners {
        out.push_str(&format!("\n  ! {}\n", shown(&banner.text)));
        for item in &banner.items {
            out.push_str(&format!("    - {}\n", shown(item)));
        }
    }
    out.push('\n');
    out.push_str(&aligned(&rows(report)));
    for line in alone(report) {
        out.push_str(&format!("  {}\n", shown(&line)));
    }
    for search in &report.searches {
        out.push_str(&format!("\n  {}\n", shown(&found(search))));
    }
    if !report.gates.is_empty() {
        out.push('\n');
    }
    for gate in &report.gates {
        let verdict = if gate.passed { "passed" } else { "FAILED" };
        let bound = gate
            .bound
            .map_or_else(|| "undefined".to_owned(), |bound| format!("{bound:.4}"));
        let rule = shown(&gate.rule);
        out.push_str(&format!("  gate {verdict}: {rule} (bound {bound})\n"));
    }
    out
}

/// What a difference amounts to, in a word.
fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Better => "better",
        Effect::Worse => "WORSE",
        Effect::Higher => "higher",
        Effect::Lower => "lower",
        Effect::Unclear => "unclear",
    }
}

/// Columns of equal width; the first to the left, numbers to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| shown(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::from("  ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            if column == 0 {
                line.push_str(&format!("{cell}{space}"));
            } else {
                line.push_str(&format!("  {space}{cell}"));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn shown(text: &str) -> String {
    visible_line(text).into_owned()
}
