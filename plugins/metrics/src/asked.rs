//! Which of its numbers a metric is asked for: the key `statistics` of its configuration. What is not asked for is not computed.

use driftgauge_plugin_sdk::MetricError;
use driftgauge_plugin_sdk::wire::{MetricOutput, Scalar};
use schemars::{Schema, json_schema};

use crate::columns::{Column, Prompts};
use crate::estimate::Estimate;

/// The key that says so.
pub const KEY: &str = "statistics";

/// What ids of numbers over a part of the answers end in.
pub const SUFFIXES: [&str; 2] = ["_correct", "_incorrect"];

/// Ids of the numbers that are asked for, in the order of the configuration; all numbers where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked(Option<Vec<String>>);

impl Asked {
    /// What a configuration lists. Of `known` ids, and of those listed, a `*` at the end stands for anything.
    ///
    /// # Errors
    /// When the list is empty, or names a number twice or one that is not known.
    pub fn new(listed: Option<&[String]>, known: &[String]) -> Result<Self, MetricError> {
        let Some(listed) = listed else {
            return Ok(Self(None));
        };
        if listed.is_empty() {
            return Err(
                MetricError::config(format!("`{KEY}` names no number at all"))
                    .help("leave it out for every number")
                    .key(KEY),
            );
        }
        for (place, name) in listed.iter().enumerate() {
            let key = format!("{KEY}[{place}]");
            if !known.iter().any(|known| fits(known, name)) {
                return Err(unknown(name, known).key(key));
            }
            if listed[..place].contains(name) {
                let twice = format!("`{KEY}` names `{name}` twice");
                return Err(MetricError::config(twice).help("once is enough").key(key));
            }
        }
        Ok(Self(Some(listed.to_vec())))
    }

    /// Whether every number is asked for, because the configuration does not say which.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a number is asked for.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        let listed = self.0.as_ref();
        listed.is_none_or(|listed| listed.iter().any(|one| fits(one, id)))
    }

    /// Whether one of some numbers is asked for.
    #[must_use]
    pub fn has_any(&self, ids: &[&str]) -> bool {
        ids.iter().any(|id| self.has(id))
    }

    /// Whether a number is asked for whose id begins so.
    #[must_use]
    pub fn has_of(&self, start: &str) -> bool {
        let listed = self.0.as_ref();
        listed.is_none_or(|listed| listed.iter().any(|one| one.starts_with(start)))
    }

    /// The numbers that are asked for; none where all are.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(String::as_str)
    }

    /// Adds a number that is asked for, or that stands for the metric, with the scores it is made of.
    pub fn push(
        &self,
        (column, prompts): (&Column, &Prompts),
        estimate: impl FnOnce() -> Estimate,
        scalar: Scalar,
        output: &mut MetricOutput,
    ) {
        if !scalar.primary && !self.has(&scalar.id) {
            return;
        }
        let (id, condition) = (&scalar.id, &scalar.condition);
        column.add_scores(id, condition, prompts, &mut output.scores);
        output.scalars.push(estimate().fill(scalar));
    }
}

/// Whether an id is one that is written with a `*` at its end, or without.
fn fits(written: &str, id: &str) -> bool {
    match written.strip_suffix('*') {
        None => written == id,
        Some(start) => id.len() > start.len() && id.starts_with(start),
    }
}

fn unknown(name: &str, known: &[String]) -> MetricError {
    let nearest = known
        .iter()
        .map(|id| (strsim::osa_distance(name, id), id))
        .filter(|(distance, id)| *distance <= 1 + id.chars().count() / 4)
        .min();
    let meant = nearest.map_or_else(String::new, |(_, id)| format!("did you mean `{id}`? "));
    let is_part = |id: &str| SUFFIXES.iter().any(|suffix| id.ends_with(suffix));
    let whole = known.iter().filter(|id| !is_part(id));
    let ids: Vec<String> = whole.map(|id| format!("`{id}`")).collect();
    let parts = match ids.len() < known.len() {
        true => ", those of measures also with `_correct` or `_incorrect` behind",
        false => "",
    };
    MetricError::config(format!("`{KEY}` names no number: `{name}`"))
        .help(format!("{meant}it is some of {}{parts}", ids.join(", ")))
}

/// The schema of a list of these ids, of which those that end in `*` stand for others.
#[must_use]
pub fn schema_of(known: &[String]) -> Schema {
    let open = known.iter().filter_map(|id| id.strip_suffix('*'));
    let starts: Vec<String> = open.map(|start| start.replace('.', "\\.")).collect();
    schema(known, &format!("^({}).+$", starts.join("|")))
}

/// The schema of such a list: of these ids, or of others that look like this.
#[must_use]
pub fn schema(ids: &[String], others: &str) -> Schema {
    json_schema!({
        "type": ["array", "null"],
        "items": {"anyOf": [{"enum": ids}, {"type": "string", "pattern": others}]},
        "minItems": 1,
        "uniqueItems": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn asked(listed: &[&str]) -> Result<Asked, MetricError> {
        let known = words(&["auroc", "aurc", "category.*"]);
        Asked::new(Some(&words(listed)), &known)
    }

    #[test]
    fn what_is_listed_is_asked_for() {
        let some = asked(&["aurc", "category.*"]).unwrap();
        let has = ["aurc", "auroc", "category.fraud", "category.", "kappa"].map(|id| some.has(id));
        assert_eq!(has, [true, false, true, false, false]);
        assert!(some.has_of("category.") && !some.has_of("auroc"));
        assert!(some.has_any(&["x", "aurc"]) && !some.has_any(&["x"]));
        assert_eq!(some.listed().next(), Some("aurc"));
        assert!(asked(&["category.fraud"]).unwrap().has("category.fraud"));
        let all = Asked::new(None, &[]).unwrap();
        assert!(all.is_all() && all.has("anything") && all.has_of("any") && !some.is_all());
        assert_eq!(all.listed().count(), 0);
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_with_what_can() {
        let error = asked(&["aurc", "auroq"]).unwrap_err();
        assert!(error.message.contains("no number: `auroq`"), "{error}");
        assert_eq!(error.key.as_deref(), Some("statistics[1]"));
        assert_eq!(
            error.help.unwrap(),
            "did you mean `auroc`? it is some of `auroc`, `aurc`, `category.*`"
        );
        let help = asked(&["brier"]).unwrap_err().help.unwrap();
        assert!(help.starts_with("it is some of"), "{help}");
        let known = words(&["margin", "margin_correct", "margin_incorrect"]);
        let error = Asked::new(Some(&words(&["margins_correct"])), &known).unwrap_err();
        assert_eq!(
            error.help.unwrap(),
            "did you mean `margin_correct`? it is some of `margin`, those of measures also with `_correct` or `_incorrect` behind"
        );
        assert!(asked(&[]).unwrap_err().message.contains("at all"));
        let twice = asked(&["aurc", "aurc"]).unwrap_err();
        assert!(twice.message.contains("`aurc` twice"), "{twice}");
    }
}
