//! Training on what is evaluated: questions of an evaluation that stand in the examples of a training, word for word or nearly so.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use driftgauge_data::dataset::derangement;
use driftgauge_data::prompt::Templates;
use driftgauge_record::Message;
use driftgauge_spelling::alike;
use indexmap::IndexMap;
use serde_json::json;

use super::Resolver;
use crate::resolved::{ModelSource, ResolvedDataset, ResolvedEvaluation, ResolvedModel, Training};
use crate::training_data::{Example, Examples, examples};

/// Words of a run that is looked for.
const RUN: usize = 5;
/// Share of a question's own runs that stand in one example where it is nearly the same: 3 of 5.
const NEARLY: (usize, usize) = (3, 5);
/// A run that more questions have is the pattern that they are made by, and tells none of them.
const OWN: usize = 2;

/// How many questions of an evaluation stand in the data of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Found {
    /// Word for word, but for letter case, marks and spaces.
    exact: usize,
    /// Nearly so.
    near: usize,
}

impl Resolver<'_> {
    /// Warns of every evaluation whose questions a model that it asks was trained on.
    pub(super) fn leaks(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        models: &IndexMap<String, ResolvedModel>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        // Trainings of one sweep share their data.
        let mut data: HashMap<String, usize> = HashMap::new();
        let mut learnt: Vec<Vec<Example>> = Vec::new();
        let mut of_model: HashMap<&str, usize> = HashMap::new();
        for (id, model) in models {
            if let Some(training) = training_of(model)
                && all_there(training, datasets)
            {
                let held_out = (&training.eval_fraction, &training.eval_dataset);
                let key = json!([training.data, held_out]).to_string();
                let number = *data.entry(key).or_insert_with(|| {
                    let all = examples(training, datasets).unwrap_or_default();
                    self.held_out_and_learnt(id, &all);
                    learnt.push(all.train);
                    learnt.len() - 1
                });
                of_model.insert(id, number);
            }
        }
        if learnt.is_empty() {
            return;
        }
        for (id, evaluation) in &spec.evaluations {
            let Some(resolved) = evaluations.get(id.get()) else {
                continue;
            };
            let Some(dataset) = datasets.get(&resolved.dataset) else {
                continue;
            };
            let questions = Questions::of(resolved, dataset);
            if questions.count == 0 {
                continue;
            }
            let mut counted: HashMap<usize, Found> = HashMap::new();
            let mut guilty: Vec<(String, Found)> = Vec::new();
            for model in &resolved.models {
                let mut at = Some(model.as_str());
                while let Some(name) = at {
                    if let Some(&number) = of_model.get(name) {
                        let found = *counted
                            .entry(number)
                            .or_insert_with(|| questions.within(&learnt[number]));
                        let told = guilty.iter().any(|(known, _)| known == name);
                        if found != Found::default() && !told {
                            guilty.push((name.to_owned(), found));
                        }
                    }
                    at = models.get(name).and_then(|model| model.source.base());
                }
            }
            let Some((_, most)) = guilty
                .iter()
                .max_by_key(|(_, found)| found.exact + found.near)
            else {
                continue;
            };
            let names: Vec<String> = guilty.iter().map(|(name, _)| format!("`{name}`")).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let message = format!(
                "{} {verb} trained on questions that evaluation `{id}` asks: {} of {} word for word, {} more nearly so; what it shows there may be memory",
                names.join(", "),
                most.exact,
                questions.count,
                most.near
            );
            self.notes.push(message.clone());
            self.warn(
                "trained-on-evaluated",
                evaluation.dataset.span(),
                message,
                "what a model was trained on says little of what it learnt: hold rows out with `filter`, or ask other ones",
            );
        }
    }
}

impl Resolver<'_> {
    /// Warns of rows whose loss is called that of rows held out, and that are learnt.
    fn held_out_and_learnt(&mut self, model: &str, examples: &Examples) {
        let learnt: HashSet<&[Message]> =
            examples.train.iter().map(|row| &row.messages[..]).collect();
        let both = |row: &&Example| learnt.contains(&row.messages[..]);
        let mut both = examples.eval.iter().filter(both);
        let Some(first) = both.next() else {
            return;
        };
        let Some((id, _)) = self.spec.models.iter().find(|(id, _)| id.get() == model) else {
            return;
        };
        let message = format!(
            "`{model}` is trained on {} of its {} held-out rows, word for word, the first of them `{}`: their loss says nothing of what it learnt",
            1 + both.count(),
            examples.eval.len(),
            first.id
        );
        self.note(message.clone());
        self.warn(
            "trained-on-evaluated",
            id.span(),
            message,
            "hold other rows out: take those away from `eval_dataset` or from the training with `filter`, and drop rows that stand twice",
        );
    }
}

fn training_of(model: &ResolvedModel) -> Option<&Training> {
    match &model.source {
        ModelSource::Pretrain(training) | ModelSource::Finetune { training, .. } => Some(training),
        _ => None,
    }
}

fn all_there(training: &Training, datasets: &IndexMap<String, ResolvedDataset>) -> bool {
    let names = training.data.iter().map(|part| &part.dataset);
    let mut names = names.chain(&training.eval_dataset);
    names.all(|name| {
        datasets
            .get(name)
            .is_some_and(|d| d.rows_selected.is_some())
    })
}

/// The questions of an evaluation, by their words and by the runs of words in them.
#[derive(Default)]
struct Questions {
    count: usize,
    /// Questions by all their words.
    whole: HashMap<u64, Vec<usize>>,
    /// Questions by each run of words.
    runs: HashMap<u64, Vec<usize>>,
    /// Number of own runs in each question.
    lengths: Vec<usize>,
}

impl Questions {
    /// What the user says under the first condition.
    fn of(evaluation: &ResolvedEvaluation, dataset: &ResolvedDataset) -> Self {
        let rows = dataset
            .rows
            .len()
            .min(evaluation.limit.unwrap_or(usize::MAX));
        let Some(condition) = evaluation.conditions.values().next() else {
            return Self::default();
        };
        let asked: Vec<&str> = condition
            .turns
            .iter()
            .filter(|turn| ["user", "text"].contains(&turn.role.as_str()))
            .map(|turn| turn.template.as_str())
            .filter(|template| template.contains("{{") || template.contains("{%"))
            .collect();
        if asked.is_empty() {
            return Self::default();
        }
        let templates = Templates::default();
        let stand_ins = derangement(rows, evaluation.shuffle_seed);
        let mut texts_of = Vec::with_capacity(rows);
        for (own, &stand_in) in dataset.rows[..rows].iter().zip(&stand_ins) {
            let other = &dataset.rows[stand_in];
            let filled = asked
                .iter()
                .map(|text| templates.fill(text, own, Some(other)));
            let Ok(texts) = filled.collect::<Result<Vec<String>, _>>() else {
                continue;
            };
            texts_of.push(texts.join("\n"));
        }
        Self::from_texts(&texts_of)
    }

    fn from_texts<T: AsRef<str>>(texts: &[T]) -> Self {
        let mut out = Self::default();
        for text in texts {
            out.add(text.as_ref());
        }
        out.runs.retain(|_, questions| questions.len() <= OWN);
        out.lengths = vec![0; out.count];
        for question in out.runs.values().flatten() {
            out.lengths[*question] += 1;
        }
        out
    }

    fn add(&mut self, text: &str) {
        let words = words(text);
        if words.is_empty() {
            return;
        }
        let number = self.count;
        self.whole.entry(hash(&words)).or_default().push(number);
        for run in runs_of(&words) {
            self.runs.entry(run).or_default().push(number);
        }
        self.count += 1;
    }

    fn within(&self, learnt: &[Example]) -> Found {
        let mut exact = HashSet::new();
        let mut near = HashSet::new();
        for example in learnt {
            let said = example.messages.iter().filter(|turn| turn.role == "user");
            let said: Vec<&str> = said.map(|turn| turn.content.as_str()).collect();
            for text in said.iter().copied().chain([said.join("\n").as_str()]) {
                let found = self.whole.get(&hash(&words(text)));
                exact.extend(found.into_iter().flatten().copied());
            }
            let mut shared: HashMap<usize, usize> = HashMap::new();
            let all: Vec<&str> = example
                .messages
                .iter()
                .map(|turn| turn.content.as_str())
                .collect();
            for run in runs_of(&words(&all.join("\n"))) {
                for question in self.runs.get(&run).into_iter().flatten() {
                    *shared.entry(*question).or_default() += 1;
                }
            }
            let enough = |question: usize, count: usize| {
                count * NEARLY.1 >= self.lengths[question] * NEARLY.0
            };
            near.extend(
                shared
                    .into_iter()
                    .filter(|(question, count)| enough(*question, *count))
                    .map(|(question, _)| question),
            );
        }
        Found {
            exact: exact.len(),
            near: near.difference(&exact).count(),
        }
    }
}

/// Words in small letters, without marks.
fn words(text: &str) -> Vec<String> {
    alike(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The different runs of words of a text.
fn runs_of(words: &[String]) -> HashSet<u64> {
    words.windows(RUN).map(|run| hash(&run.to_vec())).collect()
}

fn hash(words: &Vec<String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use driftgauge_record::Message;

    use super::*;

    fn found(questions: &[&str], learnt: &[&str]) -> Found {
        let all = Questions::from_texts(questions);
        let example = |text: &&str| Example {
            id: String::new(),
            messages: vec![Message {
                role: "user".to_owned(),
                content: (*text).to_owned(),
            }],
        };
        all.within(&learnt.iter().map(example).collect::<Vec<_>>())
    }

    #[test]
    fn the_same_words_are_the_same_question() {
        let asked = ["What is the colour of the door?", "Who keeps the key?"];
        let learnt = ["what is  the colour of the DOOR", "Who has the key?"];
        assert_eq!(found(&asked, &learnt), Found { exact: 1, near: 0 });
        assert_eq!(found(&asked, &[]), Found::default());
        let spelled = ["Wo steht das Cafe\u{301}?"];
        assert_eq!(found(&["Wo steht das Caf\u{e9}?"], &spelled).exact, 1);
    }

    #[test]
    fn a_word_more_is_nearly_the_same() {
        let asked = ["Please tell me where the old lighthouse of the northern bay stands"];
        let learnt = ["please tell me where the old lighthouse of the northern bay stands today"];
        assert_eq!(found(&asked, &learnt), Found { exact: 0, near: 1 });
        // Another question of the same pattern is another question.
        assert_eq!(
            found(
                &["Tell the code of vault 1."],
                &["Tell the code of vault 2."]
            ),
            Found::default()
        );
    }
}
