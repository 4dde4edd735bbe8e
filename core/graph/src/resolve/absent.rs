//! Numbers that will be absent, since an evaluation does not give what they read: known of the spec alone, before anything is asked.

use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;
use driftgauge_spec::spec::{Evaluation, Judge, MetricPath};

use super::measures::resolved_metric;
use super::place;

/// What an evaluation does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing<'m> {
    /// A field of the samples that a key of the evaluation gives.
    Key {
        field: &'static str,
        key: &'static str,
    },
    /// Whether answers are correct, which accepted ones tell, or a recording.
    Correctness,
    /// A key of the metric's configuration.
    Setting(&'m str),
    /// How often a judge is right.
    JudgeError,
    /// Another judge than the one who stands for the metric.
    Another,
    /// A second condition.
    Condition,
    /// A second completion of a prompt.
    Sample,
    /// A second judge that gives verdicts.
    Judge,
    /// A judge that gives scores.
    Scorer,
}

/// The fields of which the spec alone tells whether they are there, and what is missing where they are not. Who reads a condition, a
/// judge or the index of a sample holds several of them against each other.
const KNOWN: [(&str, Missing<'static>); 10] = [
    ("wrong_answer", key("wrong_answer", "wrong_answer")),
    ("references", key("references", "reference")),
    ("value.choice_loglik", key("value.choice_loglik", "score")),
    (
        "value.text_logprob",
        key("value.text_logprob", "perplexity"),
    ),
    ("value.correct", Missing::Correctness),
    ("condition", Missing::Condition),
    ("sample_index", Missing::Sample),
    ("category", key("category", "category")),
    ("judges", Missing::Judge),
    ("scorers", Missing::Scorer),
];

const fn key(field: &'static str, key: &'static str) -> Missing<'static> {
    Missing::Key { field, key }
}

impl Missing<'_> {
    /// Why a number that reads it is absent.
    pub(super) fn why(self, evaluation: &str) -> String {
        match self {
            Self::Key { field, .. } => {
                format!("it reads `{field}`, which evaluation `{evaluation}` does not give")
            }
            Self::Correctness => format!(
                "it reads which answers are correct, and evaluation `{evaluation}` does not say so"
            ),
            Self::Setting(key) => {
                format!("it reads `{key}`, which the metric's configuration does not give")
            }
            Self::JudgeError => format!(
                "it is corrected for the errors of a judge of evaluation `{evaluation}`, and nothing says how often that one is right"
            ),
            Self::Another => {
                "this judge stands for the metric, whose corrected number has no judge in its name"
                    .to_owned()
            }
            Self::Condition => format!(
                "it holds one condition against another, and evaluation `{evaluation}` has no second one"
            ),
            Self::Sample => format!(
                "it holds completions of one prompt against each other, and evaluation `{evaluation}` makes one"
            ),
            Self::Judge => format!(
                "it holds verdicts of several judges against each other, and evaluation `{evaluation}` has one"
            ),
            Self::Scorer => {
                format!(
                    "it is of a judge's scores, and no judge of evaluation `{evaluation}` gives any"
                )
            }
        }
    }

    pub(super) fn help(self) -> String {
        let give = match self {
            Self::Key { key, .. } => format!("give the evaluation `{key}`"),
            Self::Correctness => "give the evaluation `reference`".to_owned(),
            Self::Setting(key) => format!("add `{key}` to the metric's `config`"),
            Self::JudgeError => {
                "give the evaluation `judge_check`, or add the judge to `judge_error` in the metric's `config`"
                    .to_owned()
            }
            Self::Another => "leave the judge out".to_owned(),
            Self::Condition => "give the evaluation `conditions`".to_owned(),
            Self::Sample => "give its `generate` more `samples`".to_owned(),
            Self::Judge => "give the evaluation another of its `judges`".to_owned(),
            Self::Scorer => {
                "give the evaluation a judge that scores, such as `strong_reject`".to_owned()
            }
        };
        format!("{give}, or name another number")
    }
}

/// What a number reads and no sample of the evaluation will have.
pub(super) fn without_input(
    spec: &ExperimentSpec,
    evaluation: &str,
    manifest: &Manifest,
    number: &str,
) -> Option<Missing<'static>> {
    let evaluation = spec.evaluations.get(evaluation)?;
    fields(manifest, number).find_map(|field| {
        let (_, missing) = KNOWN.iter().find(|(known, _)| *known == field)?;
        lacks(spec, evaluation, *missing).then_some(*missing)
    })
}

/// Whether an id, which may end in a `*`, is that of a number.
pub(super) fn is_of(id: &str, number: &str) -> bool {
    match id.strip_suffix('*') {
        Some(start) => number.starts_with(start),
        None => id == number,
    }
}

/// The fields without which a number is absent.
fn fields<'m>(manifest: &'m Manifest, number: &'m str) -> impl Iterator<Item = &'m str> {
    let reads = manifest
        .reads
        .iter()
        .filter(move |(id, _)| is_of(id, number));
    reads.flat_map(|(_, fields)| fields).map(String::as_str)
}

fn lacks(spec: &ExperimentSpec, evaluation: &Evaluation, missing: Missing<'_>) -> bool {
    // A recording may bring samples and values of its own.
    let recorded = || {
        evaluation.models.iter().any(|model| {
            let model = spec.models.get(model.get().as_str());
            model.is_none_or(|model| model.recorded.is_some())
        })
    };
    match missing {
        Missing::Key { key, .. } => match key {
            "wrong_answer" => evaluation.wrong_answer.is_none(),
            "reference" => evaluation.reference.is_none(),
            "category" => evaluation.category.is_none(),
            "perplexity" => evaluation.perplexity.is_none() && !recorded(),
            _ => evaluation.score.is_none() && !recorded(),
        },
        Missing::Correctness => evaluation.reference.is_none() && !recorded(),
        // Those are found without the evaluation's samples.
        Missing::Setting(_) | Missing::JudgeError | Missing::Another => false,
        Missing::Condition => evaluation.conditions.len() < 2,
        Missing::Sample => {
            let samples = evaluation.generate.as_ref().map_or(1, |made| *made.samples);
            samples < 2 && !recorded()
        }
        // Recordings bring judges along.
        Missing::Judge => {
            let judges = evaluation.judges.values();
            judges.filter(|judge| judge.gives_verdicts()).count() < 2 && !recorded()
        }
        Missing::Scorer => !evaluation.judges.values().any(may_score) && !recorded(),
    }
}

/// Whether a judge gives scores; what a plugin gives is not known.
fn may_score(judge: &Judge) -> bool {
    match judge {
        Judge::StrongReject(_) | Judge::Plugin(_) => true,
        Judge::Prompt(judge) => judge.parse.score.is_some(),
        Judge::LlamaGuard(_) | Judge::Harmbench(_) | Judge::RefusalStrings(_) => false,
    }
}

/// One complaint for each gate and published value on a number of the very condition that its metric holds the others against.
pub(super) fn against_itself(
    spec: &ExperimentSpec,
    manifest: &impl Fn(&str) -> Option<Manifest>,
) -> Vec<Problem> {
    let gates = spec.gates.iter().filter_map(|gate| {
        let path = MetricPath::parse(&gate.metric)?;
        let asked = (path.evaluation, path.metric, path.number?);
        Some((asked, gate.condition.as_ref()?))
    });
    let expected = spec.expected.iter().filter_map(|expected| {
        let (metric, number) = expected.metric_parts();
        let asked = (expected.evaluation.get().as_str(), metric, number?);
        Some((asked, expected.condition.as_ref()?))
    });
    let named = gates.chain(expected);
    let found = named.filter_map(|((evaluation, metric, number), condition)| {
        let manifest = manifest(metric)?;
        let evaluation = spec.evaluations.get(evaluation)?;
        let config = resolved_metric(spec.metrics.get(metric)?).config;
        let first = evaluation.conditions.keys().next()?.get().as_str();
        let baseline = config["baseline"].as_str().unwrap_or(first);
        let between = fields(&manifest, number).any(|field| field == "condition");
        (between && condition.get() == baseline).then(|| {
            let message = format!(
                "`{metric}.{number}` has no value under `{baseline}`: it holds the other conditions against this one"
            );
            Problem::new("missing-input", message)
                .of_input()
                .at(place(condition.span()))
                .help("name another condition")
        })
    });
    found.collect()
}
