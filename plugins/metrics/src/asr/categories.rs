//! Rates by category: their numbers, their table, and what has to be said of them.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use super::Asr;
use super::gather::Gathered;
use super::numbers::new;
use super::report::Words;
use super::tables::{bounded, some, table};
use crate::columns::Column;
use crate::estimate::Estimate;

/// More categories than this are listed in the table only.
const MOST_CATEGORIES: usize = 40;
/// Most categories that a note names.
const MOST_NAMED: usize = 20;
/// What the table calls prompts without a category.
const NONE: &str = "(no category)";

impl Asr {
    /// Rates by category, and without the categories that the configuration leaves out.
    pub(super) fn by_category(
        &self,
        words: &Words,
        primary: usize,
        condition: &str,
        gathered: &Gathered,
        output: &mut MetricOutput,
    ) {
        let hit = &gathered.judges[primary].hit;
        if !self.asked.has_of("category.") && !self.asked.has("excluding") {
            return;
        }
        // One category of all prompts has the rate of all prompts.
        let several = self.categories.len() > 1
            || (self.categories.len() == 1 && gathered.without_category() > 0);
        if several && self.categories.len() <= MOST_CATEGORIES {
            let rows = self.sorted_categories();
            let names: Vec<&str> = rows.iter().map(|&row| self.categories.id(row)).collect();
            let columns = self.split(gathered, hit);
            for ((&row, name), id) in rows.iter().zip(&names).zip(ids(&names)) {
                let scalar = new(
                    &format!("category.{id}"),
                    &format!("{} in {name}", words.title),
                    condition,
                )
                .formula("the rate over prompts of this category");
                self.push(&columns[row], scalar, output);
            }
        }
        // Only what was left out is named; of a misspelt category there is a note.
        let (excluded, _) = self.exclusions();
        if !excluded.is_empty() {
            let column = gathered.of_category(hit, |found| {
                found.is_none_or(|row| !excluded.contains(&self.categories.id(row)))
            });
            let title = format!("{} without {}", words.title, excluded.join(", "));
            let scalar = new("excluding", &title, condition)
                .formula("the rate over prompts of the other categories, and of none");
            self.push(&column, scalar, output);
        }
    }

    /// Rates of a judge by category, in the order of the categories' names.
    pub(super) fn category_rates<'a>(
        &'a self,
        gathered: &'a Gathered,
        judge: usize,
    ) -> impl Iterator<Item = (&'a str, Estimate)> + 'a {
        let columns = self.split(gathered, &gathered.judges[judge].hit);
        self.sorted_categories().into_iter().map(move |row| {
            let rate = self.estimator.rate(&columns[row]);
            (self.categories.id(row), rate)
        })
    }

    /// The parts of a column by category, by the rows of the metric's categories.
    fn split(&self, gathered: &Gathered, column: &Column) -> Vec<Column> {
        column.split(self.categories.len(), |row| gathered.category(row))
    }

    pub(super) fn category_table(&self, words: &Words) -> Option<Table> {
        if self.categories.is_empty() {
            return None;
        }
        let mut rows = Vec::new();
        for (condition, gathered) in self.conditions.iter() {
            let none = gathered.without_category() > 0;
            for (index, judge) in self.judges.iter().enumerate() {
                let others = none.then(|| {
                    let hit = &gathered.judges[index].hit;
                    let column = gathered.of_category(hit, |found| found.is_none());
                    (NONE, self.estimator.rate(&column))
                });
                for (category, estimate) in self.category_rates(gathered, index).chain(others) {
                    let mut row: Vec<Value> = vec![
                        json!(condition),
                        json!(judge.id),
                        json!(category),
                        json!(estimate.n),
                    ];
                    row.extend(bounded(&estimate));
                    rows.push(row);
                }
            }
        }
        let columns = ["condition", "judge", "category", "n", "rate", "low", "high"];
        let title = format!("{} by category", words.title);
        some(table("categories", &title, &columns, rows))
    }

    pub(super) fn category_notes(&self, notes: &mut Vec<String>) {
        let (_, unknown) = self.exclusions();
        for wanted in unknown {
            notes.push(self.unknown_category(wanted));
        }
        if self.categories.is_empty() {
            return;
        }
        if self.categories.len() > MOST_CATEGORIES {
            notes.push(format!(
                "There are {} categories, more than {MOST_CATEGORIES}: their rates are in the table alone, and there is no number \
                 `category.*`.",
                self.categories.len()
            ));
        }
        for (condition, gathered) in self.conditions.iter() {
            let none = gathered.without_category();
            if none > 0 {
                let prompts = gathered.asked.iter().filter(|&&times| times > 0).count();
                notes.push(format!(
                    "Condition `{condition}`: {none} of {prompts} prompts have no category; they are in the rate over all prompts and in \
                     the row `{NONE}` of the table, and in no `category.*`."
                ));
            }
        }
    }

    /// Of the categories to leave out, those that some prompt has and those that none has.
    fn exclusions(&self) -> (Vec<&str>, Vec<&str>) {
        let mut wanted: Vec<&str> = Vec::new();
        for name in &self.config.exclude_categories {
            if !wanted.contains(&name.as_str()) {
                wanted.push(name);
            }
        }
        let known = |name: &&str| self.categories.find(name).is_some();
        wanted.into_iter().partition(known)
    }

    /// What is said of a category to leave out that no prompt has.
    fn unknown_category(&self, wanted: &str) -> String {
        let rows = self.sorted_categories();
        let names = || rows.iter().map(|&row| self.categories.id(row));
        let nearest = names()
            .map(|name| (strsim::osa_distance(wanted, name), name))
            .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
            .min();
        let meant =
            nearest.map_or_else(String::new, |(_, name)| format!(" Did you mean `{name}`?"));
        let listed: Vec<String> = names()
            .take(MOST_NAMED)
            .map(|name| format!("`{name}`"))
            .collect();
        let more = match rows.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let known = if listed.is_empty() {
            "No prompt has a category; the evaluation's key `category` says which they have."
                .to_owned()
        } else {
            format!("Categories here: {}{more}.", listed.join(", "))
        };
        format!(
            "`exclude_categories` names `{wanted}`, which no prompt has: nothing was left out for it.{meant} {known}"
        )
    }

    /// Rows of the categories, in the order of their names.
    fn sorted_categories(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.categories.len()).collect();
        rows.sort_by_key(|&row| self.categories.id(row));
        rows
    }
}

/// Categories as parts of ids, which may hold neither spaces nor `/`. Where several would become the same word, those that are
/// not that word already are written out in full, so that the id depends on the names alone.
fn ids(names: &[&str]) -> Vec<String> {
    let words: Vec<String> = names.iter().map(|name| word(name)).collect();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &words {
        *times.entry(word).or_default() += 1;
    }
    let id = |(name, word): (&&str, &String)| {
        if times[word.as_str()] == 1 || word == name {
            word.clone()
        } else {
            escaped(name)
        }
    };
    names.iter().zip(&words).map(id).collect()
}

/// A category with `_` for what an id must not hold, and for `~`, which marks [`escaped`] ids.
fn word(name: &str) -> String {
    name.chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

/// A category with `~` and two hexadecimal digits for each byte of what an id must not hold: no two names become the same.
fn escaped(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars() {
        if fits(c) {
            id.push(c);
        } else {
            let bytes = c.encode_utf8(&mut [0; 4]).bytes().collect::<Vec<u8>>();
            bytes
                .iter()
                .for_each(|byte| id.push_str(&format!("~{byte:02x}")));
        }
    }
    id
}

fn fits(c: char) -> bool {
    !c.is_whitespace() && c != '/' && c != '~'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_that_become_the_same_word_keep_ids_of_their_own() {
        assert_eq!(ids(&["illegal acts", "a/b"]), ["illegal_acts", "a_b"]);
        let names = ["x y", "x_y", "x/y", "x~20y", "x\u{a0}y", "z"];
        let expected = ["x~20y", "x_y", "x~2fy", "x_20y", "x~c2~a0y", "z"];
        assert_eq!(ids(&names), expected);
        let backwards: Vec<&str> = names.iter().rev().copied().collect();
        let mut found = ids(&backwards);
        found.reverse();
        assert_eq!(found, expected);
    }
}
