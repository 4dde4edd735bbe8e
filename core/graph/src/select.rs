//! A part of a plan: what fits a name, with all that it needs or all that rests on it.

use std::collections::BTreeSet;

use driftgauge_problem::Problem;

use crate::plan::{Node, Part, Plan};

/// What of a plan is meant. Each name is an id of a node, a kind (`generate`), or the id of a dataset, model, evaluation, condition,
/// judge or metric; `*` stands for any text.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// What fits one of these, and everything that it needs.
    pub only: Vec<String>,
    /// What fits one of these, and everything that rests on it.
    pub from: Vec<String>,
}

impl Selection {
    /// Positions of the nodes that are meant: all of them where nothing is named, and where both are given, those in both.
    ///
    /// # Errors
    /// When a name fits nothing.
    pub fn of(&self, plan: &Plan) -> Result<BTreeSet<usize>, Problem> {
        let mut meant: BTreeSet<usize> = (0..plan.nodes.len()).collect();
        if !self.only.is_empty() {
            let mut wanted = fitting(plan, &self.only)?;
            // Inputs come before what needs them.
            for node in (0..plan.nodes.len()).rev() {
                if wanted.contains(&node) {
                    wanted.extend(&plan.nodes[node].inputs);
                }
            }
            meant.retain(|node| wanted.contains(node));
        }
        if !self.from.is_empty() {
            let mut wanted = fitting(plan, &self.from)?;
            for (index, node) in plan.nodes.iter().enumerate() {
                if node.inputs.iter().any(|input| wanted.contains(input)) {
                    wanted.insert(index);
                }
            }
            meant.retain(|node| wanted.contains(node));
        }
        Ok(meant)
    }
}

fn fitting(plan: &Plan, names: &[String]) -> Result<BTreeSet<usize>, Problem> {
    let mut found = BTreeSet::new();
    for name in names {
        let nodes = plan.nodes.iter().enumerate();
        let fits = nodes.filter(|(_, node)| words(node).any(|word| like(name, word)));
        let fits: Vec<usize> = fits.map(|(index, _)| index).collect();
        if fits.is_empty() {
            let message = format!("no node of the plan fits `{name}`");
            let help = "name a node as `plan` lists it, a kind such as `generate`, or a dataset, model, evaluation, condition, \
                        judge or metric; `*` stands for any text";
            return Err(Problem::new("unknown-node", message).help(help).of_input());
        }
        found.extend(fits);
    }
    Ok(found)
}

/// What a node can be named by.
fn words(node: &Node) -> impl Iterator<Item = &str> {
    let of_part: Vec<&str> = match &node.part {
        Part::Dataset(id) | Part::Model(id) => vec![id],
        Part::Completions {
            evaluation,
            condition,
            model,
        }
        | Part::Divergence {
            evaluation,
            condition,
            model,
        } => vec![evaluation, condition, model],
        Part::Verdicts {
            evaluation,
            condition,
            model,
            judge,
        } => vec![evaluation, condition, model, judge],
        Part::Metric {
            evaluation,
            metric,
            model,
        } => vec![evaluation, metric, model],
        Part::Comparison {
            evaluation,
            metric,
            model,
            ..
        }
        | Part::Trainings {
            evaluation,
            metric,
            model,
            ..
        } => vec![evaluation, metric, model],
    };
    [node.id.as_str(), node.kind.as_str()]
        .into_iter()
        .chain(of_part)
}

/// Whether a text is a pattern in which `*` stands for any text.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::plan::Kind;

    /// rows -> base, tuned -> ask/base, ask/tuned -> metric of tuned
    fn plan() -> Plan {
        let node = |id: &str, kind, part, inputs: &[usize]| Node {
            id: id.to_owned(),
            kind,
            part,
            key: None,
            params: Value::Null,
            inputs: inputs.to_vec(),
            items: None,
        };
        let completions = |model: &str| Part::Completions {
            evaluation: "ask".to_owned(),
            condition: "plain".to_owned(),
            model: model.to_owned(),
        };
        let model = |model: &str| Part::Model(model.to_owned());
        let metric = Part::Metric {
            evaluation: "ask".to_owned(),
            metric: "asr".to_owned(),
            model: "tuned".to_owned(),
        };
        let mut plan = Plan::default();
        plan.nodes = vec![
            node(
                "dataset rows",
                Kind::Dataset,
                Part::Dataset("rows".to_owned()),
                &[],
            ),
            node("model base", Kind::Model, model("base"), &[]),
            node("finetune tuned", Kind::Finetune, model("tuned"), &[0, 1]),
            node(
                "generate ask/plain/base",
                Kind::Generate,
                completions("base"),
                &[0, 1],
            ),
            node(
                "generate ask/plain/tuned",
                Kind::Generate,
                completions("tuned"),
                &[0, 2],
            ),
            node("metric ask/asr/tuned", Kind::Metric, metric, &[4]),
        ];
        plan
    }

    fn of(only: &[&str], from: &[&str]) -> Vec<usize> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let selection = Selection {
            only: names(only),
            from: names(from),
        };
        selection.of(&plan()).unwrap().into_iter().collect()
    }

    #[test]
    fn a_name_brings_what_it_needs_or_what_rests_on_it() {
        assert_eq!(of(&[], &[]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(of(&["generate ask/plain/base"], &[]), [0, 1, 3]);
        assert_eq!(of(&["base"], &[]), [0, 1, 3]);
        assert_eq!(of(&["asr"], &[]), [0, 1, 2, 4, 5]);
        assert_eq!(of(&[], &["tuned"]), [2, 4, 5]);
        assert_eq!(of(&[], &["finetune"]), [2, 4, 5]);
        assert_eq!(of(&["generate"], &["tuned"]), [2, 4]);
        assert_eq!(of(&["*plain*base"], &[]), [0, 1, 3]);
    }

    #[test]
    fn a_name_that_fits_nothing_is_refused() {
        let selection = Selection {
            only: vec!["tunde".to_owned()],
            from: Vec::new(),
        };
        let problem = selection.of(&plan()).unwrap_err();
        assert_eq!(problem.code, "unknown-node");
        assert!(problem.message.contains("`tunde`"));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
            ("a", "ab", false),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
