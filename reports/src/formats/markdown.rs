//! Markdown for pull requests: the verdict, the table of primary numbers, gates and contradicted published values.

use driftgauge_record::{Gate, visible_line};

use super::found;
use super::headline::{alone, rows};
use crate::Report;
use crate::model::Effect;

/// Characters that GitHub and GitLab take as a comment, with room for what stands around the report.
const LONGEST: usize = 60_000;

/// The report as a comment. Where its tables would make it too long for one, their last rows are left out and counted.
pub(super) fn of(report: &Report) -> String {
    let whole = with_rows(report, usize::MAX);
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    let (mut low, mut high) = (0, rows(report).len().max(report.gates.len()));
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if with_rows(report, middle).chars().count() <= LONGEST {
            low = middle;
        } else {
            high = middle;
        }
    }
    with_rows(report, low)
}

fn with_rows(report: &Report, most: usize) -> String {
    let mut out = format!("## {}\n\n", text(&report.title));
    out.push_str(&format!("{}\n", prose(&report.verdict.summary)));
    for found in &report.verdict.models {
        out.push_str(&format!("\n**{}**\n\n", text(&found.model)));
        for sentence in &found.sentences {
            let word = word(sentence.effect);
            out.push_str(&format!("- {word}: {}\n", prose(&sentence.text)));
        }
        if found.more > 0 {
            out.push_str(&format!(
                "- {} more clear differences are in `report.html`\n",
                found.more
            ));
        }
        if found.unclear > 0 {
            out.push_str(&format!(
                "- no clear difference in {} of {} primary comparisons\n",
                found.unclear, found.compared
            ));
        }
    }
    if !report.verdict.others.is_empty() {
        out.push_str(&format!("\n{}\n", prose(&report.verdict.others)));
    }
    for banner in &report.banners {
        out.push_str(&format!("\n> {}\n", prose(&banner.text)));
        for item in &banner.items {
            out.push_str(&format!("> - {}\n", prose(item)));
        }
    }
    out.push('\n');
    out.push_str(&table(report, most));
    for search in &report.searches {
        out.push_str(&format!("\n{}\n", prose(&found(search))));
    }
    if !report.gates.is_empty() {
        out.push_str("\n| gate | bound | limit | outcome |\n|---|---:|---:|---|\n");
    }
    // Those that failed come first.
    let mut gates: Vec<&Gate> = report.gates.iter().collect();
    gates.sort_by_key(|gate| gate.passed);
    for gate in gates.into_iter().take(most) {
        let bound = gate
            .bound
            .map_or_else(|| "undefined".to_owned(), |bound| format!("{bound:.4}"));
        let outcome = if gate.passed { "passed" } else { "**failed**" };
        let rule = text(&gate.rule);
        out.push_str(&format!(
            "| {rule} | {bound} | {} | {outcome} |\n",
            gate.limit
        ));
    }
    out.push_str(&left_out(report.gates.len(), most, "gates"));
    let contradicted = report
        .expected
        .iter()
        .filter(|row| row.contradicted)
        .count();
    if !report.expected.is_empty() {
        out.push_str(&format!(
            "\n{contradicted} of {} published values are not those of the records.\n",
            report.expected.len()
        ));
    }
    out
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Better => "better",
        Effect::Worse => "**worse**",
        Effect::Higher => "higher",
        Effect::Lower => "lower",
        Effect::Unclear => "no clear difference",
    }
}

/// What found no room, with where it is.
fn left_out(all: usize, most: usize, what: &str) -> String {
    match all.saturating_sub(most) {
        0 => String::new(),
        more => format!("\n{more} more {what} are in `report.html`.\n"),
    }
}

fn table(report: &Report, most: usize) -> String {
    let mut out = String::new();
    let rows = rows(report);
    for (index, row) in rows.iter().take(most.saturating_add(1)).enumerate() {
        let cells: Vec<String> = row.iter().map(|cell| text(cell)).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
        if index == 0 {
            out.push_str(&format!("|---|{}\n", "---:|".repeat(row.len() - 1)));
        }
    }
    out.push_str(&left_out(rows.len().saturating_sub(1), most, "rows"));
    for line in alone(report) {
        out.push_str(&format!("\n{}\n", text(&line)));
    }
    out
}

/// A name on one line in which nothing is markup: neither Markdown's nor HTML's.
pub(super) fn text(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in visible_line(name).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|'
            | '~' | '@' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// A sentence of ours with names in backticks: those stay code where nothing in them can end it.
fn prose(sentence: &str) -> String {
    let pieces: Vec<&str> = sentence.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return text(sentence);
    }
    let piece = |(index, piece): (usize, &&str)| {
        if index % 2 == 1 {
            // In a table or out of it, a bar or a line's end would end the code.
            format!("`{}`", visible_line(piece).replace('|', "\u{2502}"))
        } else {
            text(piece)
        }
    };
    pieces.iter().enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(
            text("a|b<img src=x>\n@team [x](y) **z**"),
            "a\\|b&lt;img src=x&gt;␊\\@team \\[x\\]\\(y\\) \\*\\*z\\*\\*"
        );
        assert_eq!(prose("of `a|b`: 1"), "of `a│b`: 1");
    }
}
