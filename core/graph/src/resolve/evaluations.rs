//! Evaluations: prompts tried on the data, judges with everything that decides their verdicts.

use driftgauge_data::dataset::{Row, derangement};
use driftgauge_data::prompt::{PromptError, Templates, TurnTemplate};
use driftgauge_engine::{LongPrompt, Sampling};
use driftgauge_judge::{
    Judge, ParseRule, RefusalList, Scale, refusal_list, refusal_list_names, try_turn,
};
use driftgauge_plugin_protocol::clean::disturbs;
use driftgauge_record::value;
use driftgauge_spec::spec::{
    Evaluation, Generate, Judge as JudgeSpec, OnLongPrompt, OneOrMany, Thinking, Turn,
};
use driftgauge_spec::{Span, Text};
use indexmap::IndexMap;
use serde_json::Value;

use super::Resolver;
use super::measures::resolved_metric;
use super::models::turns;
use crate::resolved::{
    ResolvedCondition, ResolvedDataset, ResolvedEvaluation, ResolvedGenerate, ResolvedJudge,
    ResolvedKl, ResolvedScore,
};

/// Condition id of an evaluation with a single prompt.
pub(super) const ONLY_CONDITION: &str = "default";

impl Resolver<'_> {
    pub(super) fn evaluations(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
    ) -> IndexMap<String, ResolvedEvaluation> {
        let mut out = IndexMap::new();
        for (id, evaluation) in &self.spec.evaluations {
            let resolved = self.evaluation(evaluation);
            if let Some(dataset) = datasets.get(&resolved.dataset) {
                self.try_templates(evaluation, &resolved, dataset);
                self.try_examples(evaluation, &resolved, datasets);
            }
            out.insert(id.get().clone(), resolved);
        }
        out
    }

    fn evaluation(&mut self, evaluation: &Evaluation) -> ResolvedEvaluation {
        let conditions = if evaluation.conditions.is_empty() {
            let only = ResolvedCondition {
                description: String::new(),
                turns: turns(&evaluation.prompt),
                prefill_tokens: prefill_tokens(&evaluation.prompt),
                examples: self.examples(evaluation, &evaluation.prompt),
            };
            [(ONLY_CONDITION.to_owned(), only)].into_iter().collect()
        } else {
            evaluation
                .conditions
                .iter()
                .map(|(id, condition)| {
                    let resolved = ResolvedCondition {
                        description: super::text(condition.description.as_ref()),
                        turns: turns(&condition.prompt),
                        prefill_tokens: prefill_tokens(&condition.prompt),
                        examples: self.examples(evaluation, &condition.prompt),
                    };
                    (id.get().clone(), resolved)
                })
                .collect()
        };
        let mut judges = IndexMap::new();
        for (id, judge) in &evaluation.judges {
            if let Some(resolved) = self.judge(judge) {
                judges.insert(id.get().clone(), resolved);
            }
        }
        let names = |texts: &[Text]| texts.iter().map(|text| text.get().clone()).collect();
        ResolvedEvaluation {
            description: super::text(evaluation.description.as_ref()),
            models: names(&evaluation.models),
            dataset: evaluation.dataset.get().clone(),
            conditions,
            shuffle_seed: evaluation
                .shuffle_seed
                .as_ref()
                .map_or(*self.spec.seed, |seed| **seed),
            references: evaluation
                .reference
                .as_ref()
                .map(|reference| names(reference.as_slice()))
                .unwrap_or_default(),
            wrong_answer: evaluation
                .wrong_answer
                .as_ref()
                .map(|text| text.get().clone()),
            behavior: evaluation.behavior.as_ref().map(|text| text.get().clone()),
            category: evaluation.category.as_ref().map(|text| text.get().clone()),
            cluster: evaluation.cluster.as_ref().map(|text| text.get().clone()),
            generate: ResolvedGenerate {
                strip_thinking: evaluation.thinking == Thinking::Strip,
                ..generate(
                    &evaluation.generate.clone().unwrap_or_default(),
                    *self.spec.seed,
                )
            },
            score: score(evaluation),
            kl: evaluation.kl.as_ref().map(|kl| ResolvedKl {
                reference: kl.reference.get().clone(),
                text: kl.text.as_ref().map(|text| text.get().clone()),
            }),
            judges,
            judge_check: evaluation.judge_check.as_ref().map(|id| id.get().clone()),
            metrics: names(&evaluation.metrics),
            over_refusal_of: evaluation
                .over_refusal_of
                .as_ref()
                .map(|text| text.get().clone()),
            capability_floor: evaluation.capability_floor.as_ref().map(|floor| **floor),
            limit: self.options.limit,
        }
    }

    fn judge(&mut self, judge: &JudgeSpec) -> Option<ResolvedJudge> {
        let model = judge.model().map(|model| model.get().clone());
        let words = |words: &OneOrMany<Text>| -> Vec<String> {
            words
                .as_slice()
                .iter()
                .map(|word| word.get().clone())
                .collect()
        };
        let judge = match judge {
            JudgeSpec::LlamaGuard(guard) => Judge::LlamaGuard {
                categories: guard
                    .categories
                    .iter()
                    .map(|(code, name)| format!("{code}: {name}"))
                    .collect(),
                max_tokens: *guard.max_tokens,
            },
            JudgeSpec::Harmbench(_) => Judge::HarmBench,
            JudgeSpec::StrongReject(rubric) => Judge::StrongReject {
                threshold: *rubric.threshold,
            },
            JudgeSpec::Prompt(prompt) => Judge::Prompt {
                turns: self.judge_turns(&prompt.prompt),
                parse: ParseRule {
                    unsafe_words: words(&prompt.parse.r#unsafe),
                    safe_words: words(&prompt.parse.safe),
                    scale: prompt.parse.score.as_ref().map(|[low, high]| Scale {
                        ends: [**low, **high],
                        unsafe_from: prompt.parse.unsafe_from.as_ref().map(|from| **from),
                    }),
                },
                max_tokens: *prompt.max_tokens,
            },
            JudgeSpec::RefusalStrings(name) => Judge::RefusalStrings(self.refusal_list(name)?),
            JudgeSpec::Plugin(plugin) => Judge::Plugin(resolved_metric(plugin)),
        };
        Some(ResolvedJudge { judge, model })
    }

    /// The turns of a judge's own prompt, each of them tried.
    fn judge_turns(&mut self, prompt: &[Turn]) -> Vec<TurnTemplate> {
        let resolved = turns(prompt);
        for (turn, spec) in resolved.iter().zip(prompt) {
            if let Err(error) = try_turn(turn.clone()) {
                self.refuse("bad-template", spec.template().span(), error);
            }
        }
        resolved
    }

    /// A shipped list by name, a file in the same form, or the strings themselves.
    fn refusal_list(&mut self, list: &OneOrMany<Text>) -> Option<RefusalList> {
        let name = match list {
            OneOrMany::One(name) => name,
            OneOrMany::Many(strings) => {
                let texts = strings.iter().map(|string| string.get().clone()).collect();
                let list = RefusalList::of_strings("own", texts);
                let span = strings.first().map(Text::span).unwrap_or_default();
                return match list.check() {
                    Ok(()) => Some(list),
                    Err(error) => {
                        let message = format!("this is no refusal list: {error}");
                        self.problem("bad-refusal-list", span, message, None);
                        None
                    }
                };
            }
        };
        if let Some(list) = refusal_list(name) {
            return Some(list);
        }
        let path = self.path(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let text = text.trim_start_matches('\u{feff}');
                match RefusalList::read(&stem, text) {
                    Ok(list) => Some(list),
                    Err(error) => {
                        self.problem(
                            "bad-refusal-list",
                            name.span(),
                            format!("`{name}` is no refusal list: {error}"),
                            Some("it is a JSON list of strings, or an object with `name`, `version`, `source`, `match`, `casefold` and `strings`".to_owned()),
                        );
                        None
                    }
                }
            }
            Err(_) => {
                self.problem(
                    "unknown-refusal-list",
                    name.span(),
                    format!("there is no refusal list `{name}`"),
                    Some(format!(
                        "shipped lists are {}; or name a JSON file",
                        refusal_list_names().join(", ")
                    )),
                );
                None
            }
        }
    }

    /// Fills every template with every row, so that whatever does not fit is found before anything runs.
    fn try_templates(
        &mut self,
        evaluation: &Evaluation,
        resolved: &ResolvedEvaluation,
        dataset: &ResolvedDataset,
    ) {
        let rows = dataset.rows.len().min(resolved.limit.unwrap_or(usize::MAX));
        let rows = &dataset.rows[..rows];
        let stand_ins = derangement(rows.len(), resolved.shuffle_seed);
        let templates = Templates::default();
        let tried = |template: &str, fill: &dyn Fn(&Row, &Row) -> Result<(), PromptError>| {
            let mut each = rows.iter().zip(&stand_ins);
            let wrong = each.find_map(|(row, &stand_in)| fill(row, &dataset.rows[stand_in]).err());
            wrong.or_else(|| templates.knows(template, &dataset.rows).err())
        };
        let mut wrong: Vec<(Span, PromptError)> = Vec::new();
        let conditions = evaluation.conditions.values();
        let turns = conditions.flat_map(|condition| &condition.prompt);
        for turn in evaluation.prompt.iter().chain(turns) {
            let template = turn.template();
            let found = tried(template, &|row, other| match turn {
                Turn::System(_) => templates
                    .fill_present(template, row, Some(other))
                    .map(|_| ()),
                _ => templates.fill(template, row, Some(other)).map(|_| ()),
            });
            wrong.extend(found.map(|error| (template.span(), error)));
        }
        let references = evaluation.reference.iter();
        for template in references.flat_map(|reference| reference.as_slice()) {
            let found = tried(template, &|row, _| {
                templates.references(template, row).map(|_| ())
            });
            match found {
                Some(error) => wrong.push((template.span(), error)),
                None => self.odd_answers(template, rows, &templates),
            }
        }
        if let Some(template) = &evaluation.wrong_answer {
            let found = tried(template, &|row, _| {
                let answer = templates.fill_present(template, row, None)?;
                match answer {
                    // An empty one is none; white space would be found in nearly every completion.
                    Some(answer) if !answer.is_empty() && answer.trim().is_empty() => {
                        Err(PromptError::Fill {
                            template: template.get().clone(),
                            row: row.id.clone(),
                            problem: "the false answer is nothing but white space".to_owned(),
                            hint: "write `{{ column | trim }}`, where an empty one is none"
                                .to_owned(),
                        })
                    }
                    _ => Ok(()),
                }
            });
            wrong.extend(found.map(|error| (template.span(), error)));
            self.false_answers(evaluation, rows);
        }
        let texts = evaluation.behavior.iter();
        let texts = texts.chain(evaluation.kl.iter().filter_map(|kl| kl.text.as_ref()));
        let texts = texts.chain(evaluation.perplexity.iter().map(|scored| &scored.text));
        for template in texts {
            let found = tried(template, &|row, _| {
                templates.fill(template, row, None).map(|_| ())
            });
            wrong.extend(found.map(|error| (template.span(), error)));
        }
        for (span, error) in wrong {
            self.refuse("bad-template", span, error);
        }
        if let Some(score) = &evaluation.score {
            self.try_choices(score, rows);
        }
        for column in evaluation.category.iter().chain(&evaluation.cluster) {
            self.scalar_column(column, &resolved.dataset, rows);
        }
        if let Some(category) = &evaluation.category {
            self.category_names(category, rows);
        }
    }

    /// A category, or a cluster, is a scalar of every row, or null.
    fn scalar_column(&mut self, column: &Text, dataset: &str, rows: &[Row]) {
        let found = |row: &Row| value::column(&row.columns, column).cloned();
        if let Some(row) = rows.first()
            && rows.iter().all(|row| found(row).is_none())
        {
            self.problem(
                "unknown-column",
                column.span(),
                format!("dataset `{dataset}` has no column `{column}`"),
                Some(format!(
                    "columns are {}",
                    driftgauge_data::dataset::names(&row.columns)
                )),
            );
            return;
        }
        if let Some(row) = rows
            .iter()
            .find(|row| value::is_ambiguous(&row.columns, column))
        {
            self.problem(
                "bad-category",
                column.span(),
                format!(
                    "row `{}` of dataset `{dataset}`: {}",
                    row.id,
                    driftgauge_data::dataset::twice(column)
                ),
                Some(driftgauge_data::dataset::ONE_OF_TWO.to_owned()),
            );
            return;
        }
        let is_blank = |row: &Row| match found(row) {
            None | Some(Value::Null) => true,
            Some(cell) => cell.as_str().is_some_and(|text| text.trim().is_empty()),
        };
        if !rows.is_empty() && rows.iter().all(is_blank) {
            self.problem(
                "bad-category",
                column.span(),
                format!("column `{column}` of dataset `{dataset}` is empty in every row"),
                Some("name a column that has something in it, or take the key out".to_owned()),
            );
            return;
        }
        let is_nested =
            |row: &&Row| found(row).is_some_and(|cell| cell.is_array() || cell.is_object());
        if let Some(row) = rows.iter().find(is_nested) {
            let kind = found(row).map_or("", |cell| value::kind(&cell));
            self.problem(
                "bad-category",
                column.span(),
                format!("column `{column}` is {kind} in row `{}`", row.id),
                Some("it is one text, number or truth value; name a field of it by its path, as `labels.0`".to_owned()),
            );
        }
    }
}

/// Bytes of a category at most: with the names around it an id has 200.
const LONGEST_CATEGORY: usize = 180;

impl Resolver<'_> {
    /// Numbers are named after categories. What cannot be a part of a name would be refused after the last answer.
    fn category_names(&mut self, column: &Text, rows: &[Row]) {
        let problem = rows.iter().find_map(|row| {
            let name = value::column(&row.columns, column)?.as_str()?;
            if name.len() > LONGEST_CATEGORY {
                let (id, bytes) = (&row.id, name.len());
                return Some(format!(
                    "the category of row `{id}` has {bytes} bytes, and a name at most {LONGEST_CATEGORY}"
                ));
            }
            let control = name.chars().find(|c| disturbs(*c))?;
            Some(format!(
                "the category of row `{}` has the control character U+{:04X}, which no name may have",
                row.id,
                u32::from(control)
            ))
        });
        if let Some(problem) = problem {
            let help =
                "numbers are named after categories: choose a column with a short name for each"
                    .to_owned();
            self.problem("bad-category", column.span(), problem, Some(help));
        }
    }
}

/// How many tokens of a prefill begin the answer, where the spec says it.
fn prefill_tokens(turns: &[Turn]) -> Option<usize> {
    match turns.last() {
        Some(Turn::Prefill(prefill)) => prefill.tokens.as_ref().map(|tokens| **tokens),
        _ => None,
    }
}

fn generate(generate: &Generate, seed: u64) -> ResolvedGenerate {
    ResolvedGenerate {
        max_tokens: *generate.max_tokens,
        samples: *generate.samples,
        sampling: Sampling {
            temperature: *generate.temperature,
            top_p: generate.top_p.as_ref().map(|p| **p),
            top_k: generate.top_k.as_ref().map(|k| **k),
            min_p: generate.min_p.as_ref().map(|p| **p),
            // A greedy run draws nothing, so its key must not depend on a seed.
            seed: if *generate.temperature == 0.0 {
                0
            } else {
                generate.seed.as_ref().map_or(seed, |seed| **seed)
            },
        },
        stop: generate
            .stop
            .as_slice()
            .iter()
            .map(|text| text.get().clone())
            .collect(),
        top_logprobs: generate.top_logprobs.as_ref().map_or(0, |n| **n),
        on_long_prompt: match generate.on_long_prompt {
            OnLongPrompt::Error => LongPrompt::Error,
            OnLongPrompt::Skip => LongPrompt::Skip,
            OnLongPrompt::Truncate => LongPrompt::Truncate,
        },
        strip_thinking: false,
    }
}

pub(super) fn score(evaluation: &Evaluation) -> Option<ResolvedScore> {
    if let Some(score) = &evaluation.score {
        return Some(ResolvedScore::Choices {
            choices: score
                .choices
                .as_slice()
                .iter()
                .map(|text| text.get().clone())
                .collect(),
            correct: score.correct.get().clone(),
        });
    }
    // A divergence on given text needs no completions when nobody asks for any: the text itself is scored.
    let divergence_alone =
        evaluation.generate.is_none() && evaluation.judges.is_empty() && evaluation.score.is_none();
    let kl = evaluation.kl.as_ref().filter(|_| divergence_alone);
    let text = match &evaluation.perplexity {
        Some(perplexity) => Some(&perplexity.text),
        None => kl.and_then(|kl| kl.text.as_ref()),
    };
    text.map(|text| ResolvedScore::Perplexity {
        text: text.get().clone(),
    })
}
