//! Two finished runs held against each other: the same samples, asked and measured in the same way.
//!
//! Nothing is paired that does not belong together. What differs in the data, the prompts, the judges or the metric is refused
//! with its reason; what may differ on purpose (sampling, engine, the plugin's build) is noted.

use driftgauge_compare::{Clusters, PairComparison, between_models, measured_otherwise};
use driftgauge_record::files::metrics::{MetricsRecord, OutputRecord};
use driftgauge_record::files::plan::PlanRecord;
use driftgauge_record::files::resolved::{
    EvaluationRecord, ExperimentRecord, GenerateRecord, ModelRecord,
};
use driftgauge_record::{Comparison, FolderError, RunDir};
use driftgauge_spec::spec::Adjust;
use driftgauge_stats::bootstrap::Options;
use serde::Serialize;

use crate::across_prompts::asked_otherwise;
use crate::folder::family_of;
use crate::resolved_comparisons::ResolvedFamily;
use crate::results::adjust;

/// What a comparison needs of a run folder.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    dir: RunDir,
    experiment: ExperimentRecord,
    outputs: Vec<OutputRecord>,
    plan: PlanRecord,
}

/// Something of the two runs that cannot be paired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// `evaluation`, `evaluation/metric` or `evaluation/metric of model`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Whether run A measured it.
    #[serde(skip)]
    pub in_a: bool,
}

/// What came of holding run B against run A.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Across {
    /// `B - A`; `baseline` names A's model and `model` B's.
    pub comparisons: Vec<Comparison>,
    /// What was not compared.
    pub refused: Vec<Refusal>,
    /// What differs on purpose, perhaps.
    pub notes: Vec<String>,
}

/// Which models of the two runs are held against each other, `(A's, B's)`; those of the same name when empty.
pub type ModelPairs = [(String, String)];

impl FinishedRun {
    /// Reads a run folder.
    ///
    /// # Errors
    /// When a file is missing or was written by another version.
    pub fn read(dir: &RunDir) -> Result<Self, FolderError> {
        Ok(Self {
            dir: dir.clone(),
            experiment: dir.read()?,
            outputs: dir.read::<MetricsRecord>()?.outputs,
            plan: dir.read()?,
        })
    }

    /// Name of the experiment.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.experiment.name
    }

    fn output(&self, evaluation: &str, metric: &str, model: &str) -> Option<&OutputRecord> {
        self.outputs.iter().find(|output| {
            output.evaluation == evaluation && output.metric == metric && output.model == model
        })
    }

    /// What identifies the weights of a model.
    fn weights(&self, model: &str) -> Option<&str> {
        ["merge", "pretrain", "model"].iter().find_map(|kind| {
            let id = format!("{kind} {model}");
            let node = self.plan.nodes.iter().find(|node| node.id == id)?;
            node.key.as_deref()
        })
    }
}

/// Holds run `b` against run `a`, metric by metric. P-values are adjusted in the families that `a` declares, or, when it
/// declares none, those of the primary numbers together by Holm.
#[must_use]
pub fn compare_runs(a: &FinishedRun, b: &FinishedRun, pairs: &ModelPairs) -> Across {
    let mut out = Across::default();
    for (id, ours) in &a.experiment.evaluations {
        let Some(theirs) = b.experiment.evaluations.get(id) else {
            out.refuse(id, "it is in run A only");
            continue;
        };
        if let Some(reason) = differs(a, b, ours, theirs) {
            out.refuse(id, reason);
            continue;
        }
        let samples = |run: &FinishedRun| run.dir.samples_of(id);
        let tables = [samples(a), samples(b)];
        let sealed = a
            .dir
            .check_sealed(&tables[0])
            .and_then(|()| b.dir.check_sealed(&tables[1]));
        if let Err(error) = sealed {
            out.refuse(id, error.to_string());
            continue;
        }
        match asked_otherwise(&tables[0], &tables[1], !ours.score.is_null()) {
            Ok(None) => {}
            Ok(Some(reason)) => {
                out.refuse(id, reason);
                continue;
            }
            Err(error) => {
                out.refuse(
                    id,
                    format!("nobody knows whether its samples were asked the same: {error}"),
                );
                continue;
            }
        }
        out.note_settings(id, ours, theirs);
        let models = models(ours, theirs, pairs);
        if models.is_empty() {
            out.refuse(
                id,
                "no model of it is in both runs; name pairs with `--pair A=B`",
            );
            continue;
        }
        for (one, other) in &models {
            out.note_serving(id, (a, one), (b, other));
        }
        for metric in &ours.metrics {
            let what = format!("{id}/{metric}");
            if !theirs.metrics.contains(metric) {
                out.refuse(&what, "it is measured in run A only");
                continue;
            }
            let config = |run: &FinishedRun| run.experiment.metrics[metric].config.clone();
            if config(a) != config(b) {
                out.refuse(
                    &what,
                    format!("its `config` differs: {} and {}", config(a), config(b)),
                );
                continue;
            }
            for (ours, theirs) in &models {
                out.metric(a, b, id, metric, (ours, theirs));
            }
        }
    }
    for id in b.experiment.evaluations.keys() {
        if !a.experiment.evaluations.contains_key(id) {
            out.refused.push(Refusal {
                what: id.clone(),
                reason: "it is in run B only".to_owned(),
                in_a: false,
            });
        }
    }
    let families = &a.experiment.compare.families;
    out.adjust(&families.iter().map(family_of).collect::<Vec<_>>());
    out
}

/// The beginning of a digest, for people.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Model pairs of one evaluation.
fn models(
    ours: &EvaluationRecord,
    theirs: &EvaluationRecord,
    pairs: &ModelPairs,
) -> Vec<(String, String)> {
    let asked = |(a, b): &&(String, String)| ours.models.contains(a) && theirs.models.contains(b);
    if !pairs.is_empty() {
        return pairs.iter().filter(asked).cloned().collect();
    }
    let same: Vec<(String, String)> = ours
        .models
        .iter()
        .filter(|model| theirs.models.contains(model))
        .map(|model| (model.clone(), model.clone()))
        .collect();
    match (
        same.is_empty(),
        ours.models.as_slice(),
        theirs.models.as_slice(),
    ) {
        // One model each: there is only one way to pair them.
        (true, [a], [b]) => vec![(a.clone(), b.clone())],
        _ => same,
    }
}

/// Why an evaluation of two runs is not the same one.
fn differs<'r>(
    a: &'r FinishedRun,
    b: &'r FinishedRun,
    ours: &EvaluationRecord,
    theirs: &EvaluationRecord,
) -> Option<String> {
    let dataset = |run: &'r FinishedRun, evaluation: &EvaluationRecord| {
        run.experiment.datasets.get(&evaluation.dataset)
    };
    let (Some(one), Some(other)) = (dataset(a, ours), dataset(b, theirs)) else {
        return Some("a run does not say what its dataset was".to_owned());
    };
    let (Some(digest), Some(other_digest)) = (&one.digest, &other.digest) else {
        return Some(
            "a dataset was not pinned, so nobody knows whether they are the same".to_owned(),
        );
    };
    // The same rows in another order, or in another file, pair as well.
    let same_rows = one.content.is_some() && one.content == other.content;
    if digest != other_digest && !same_rows {
        return Some(format!(
            "the datasets differ: BLAKE3 {} and {}",
            short(digest),
            short(other_digest)
        ));
    }
    let (id, other_id) = (&one.id_column, &other.id_column);
    if id != other_id {
        return Some(format!("the `id` columns differ: {id} and {other_id}"));
    }
    let ids = |evaluation: &EvaluationRecord| -> Vec<String> {
        evaluation.conditions.keys().cloned().collect()
    };
    if ids(ours) != ids(theirs) {
        return Some(format!(
            "the conditions differ: {} and {}",
            ids(ours).join(", "),
            ids(theirs).join(", ")
        ));
    }
    let mut shuffled = false;
    for (id, condition) in &ours.conditions {
        if condition.turns != theirs.conditions[id].turns {
            return Some(format!("the prompts of condition `{id}` differ"));
        }
        shuffled |= condition
            .turns
            .iter()
            .any(|turn| turn.template.contains("shuffled"));
    }
    if shuffled && digest != other_digest {
        return Some(
            "the same rows stand in another order, and so other ones stand in as `shuffled`"
                .to_owned(),
        );
    }
    if shuffled && ours.shuffle_seed != theirs.shuffle_seed {
        return Some(format!(
            "`shuffled` rows are drawn from other seeds: {} and {}",
            ours.shuffle_seed, theirs.shuffle_seed
        ));
    }
    for (what, same) in [
        ("accepted answers", ours.references == theirs.references),
        ("false answers", ours.wrong_answer == theirs.wrong_answer),
        ("categories", ours.category == theirs.category),
        ("scored texts", ours.score == theirs.score),
        // Judges are shown it.
        (
            "requests that judges see",
            ours.behavior == theirs.behavior || ours.judges.is_empty(),
        ),
        ("divergences", ours.kl == theirs.kl),
    ] {
        if !same {
            return Some(format!("the {what} differ"));
        }
    }
    judges(a, b, ours, theirs)
}

/// Why the judges of two runs are not the same ones.
fn judges(
    a: &FinishedRun,
    b: &FinishedRun,
    ours: &EvaluationRecord,
    theirs: &EvaluationRecord,
) -> Option<String> {
    let ids = |evaluation: &EvaluationRecord| -> Vec<String> {
        evaluation.judges.keys().cloned().collect()
    };
    if ids(ours) != ids(theirs) {
        return Some(format!(
            "the judges differ: {} and {}",
            ids(ours).join(", "),
            ids(theirs).join(", ")
        ));
    }
    for (id, judge) in &ours.judges {
        let other = &theirs.judges[id];
        if judge.judge != other.judge {
            return Some(format!("judge `{id}` is asked in another way"));
        }
        let (Some(one), Some(two)) = (&judge.model, &other.model) else {
            continue;
        };
        if a.weights(one).is_none() || a.weights(one) != b.weights(two) {
            return Some(format!("judge `{id}` has other weights"));
        }
        let serving = |run: &FinishedRun, model: &str| {
            let model = &run.experiment.models[model];
            (
                model.quantization.clone(),
                model.dtype.clone(),
                model.engine.clone(),
            )
        };
        if serving(a, one) != serving(b, two) {
            return Some(format!(
                "judge `{id}` is quantised or computed in another way"
            ));
        }
    }
    None
}

impl Across {
    fn refuse(&mut self, what: &str, reason: impl Into<String>) {
        self.refused.push(Refusal {
            what: what.to_owned(),
            reason: reason.into(),
            in_a: true,
        });
    }

    fn note_settings(&mut self, id: &str, a: &EvaluationRecord, b: &EvaluationRecord) {
        // What is recorded of an answer does not change it.
        let settings = |evaluation: &EvaluationRecord| GenerateRecord {
            top_logprobs: 0,
            ..evaluation.generate.clone()
        };
        let (a, b) = (settings(a), settings(b));
        if a != b {
            let [a, b] = [a, b].map(|settings| serde_json::json!(settings));
            self.notes.push(format!(
                "{id}: completions were made with other settings ({a} and {b})"
            ));
        }
    }

    /// What a model's numbers may differ by beside its weights.
    fn note_serving(
        &mut self,
        id: &str,
        (a, one): (&FinishedRun, &str),
        (b, other): (&FinishedRun, &str),
    ) {
        let models = (a.experiment.models.get(one), b.experiment.models.get(other));
        let (Some(ours), Some(theirs)) = models else {
            return;
        };
        let of = |model: &ModelRecord| {
            let template = model.chat_template.as_ref();
            [
                ("quantization", model.quantization.clone()),
                ("dtype", Some(model.dtype.clone())),
                ("engine", model.engine.clone()),
                ("chat template", template.map(|file| file.digest.clone())),
            ]
        };
        for ((what, ours), (_, theirs)) in of(ours).into_iter().zip(of(theirs)) {
            if ours != theirs {
                let [ours, theirs] = [ours, theirs].map(|value| match value {
                    Some(value) => short(&value).to_owned(),
                    None => "none of its own".to_owned(),
                });
                self.notes.push(format!(
                    "{id}: model `{other}` has another {what} ({ours} and {theirs})"
                ));
            }
        }
    }

    /// One metric of one pair of models.
    fn metric(
        &mut self,
        a: &FinishedRun,
        b: &FinishedRun,
        evaluation: &str,
        metric: &str,
        models: (&str, &str),
    ) {
        let what = if models.0 == models.1 {
            format!("{evaluation}/{metric} of {}", models.0)
        } else {
            format!("{evaluation}/{metric} of {} and {}", models.0, models.1)
        };
        let sides = a
            .output(evaluation, metric, models.0)
            .zip(b.output(evaluation, metric, models.1));
        let Some((ours, theirs)) = sides else {
            self.refuse(&what, "one of the runs did not come to measure it");
            return;
        };
        if ours.plugin != theirs.plugin {
            let note =
                format!("{evaluation}/{metric}: the two runs used other builds of the plugin");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        let compare = &a.experiment.compare;
        let options = Options {
            level: compare.level,
            resamples: compare.resamples as usize,
            seed: a.experiment.seed,
        };
        if let Some(reason) = measured_otherwise([&ours.output, &theirs.output]) {
            self.refuse(&what, reason);
            return;
        }
        let clustered = |run: &FinishedRun| {
            let evaluation = run.experiment.evaluations.get(evaluation);
            evaluation.is_some_and(|evaluation| evaluation.cluster.is_some())
        };
        if clustered(a) || clustered(b) {
            self.refuse(
                &what,
                "its prompts come in clusters, which a run folder does not keep; put both models into one spec",
            );
            return;
        }
        match between_models(
            &ours.output,
            &theirs.output,
            (options, &Clusters::default()),
        ) {
            Err(reason) => {
                let reason = &reason.message;
                self.refuse(&what, reason);
            }
            Ok(found) if found.is_empty() => {
                self.refuse(&what, "the metric keeps no score of single samples");
            }
            Ok(found) => self.comparisons.extend(
                found
                    .into_iter()
                    .map(|pair| comparison(evaluation, metric, models, pair)),
            ),
        }
    }

    pub(crate) fn adjust(&mut self, declared: &[ResolvedFamily]) {
        if !declared.is_empty() {
            adjust(&mut self.comparisons, declared);
            return;
        }
        // A primary number has its metric's own name.
        let primary = self
            .comparisons
            .iter()
            .filter(|comparison| !comparison.metric.contains('.'))
            .map(|comparison| format!("{}/{}", comparison.evaluation, comparison.metric))
            .collect();
        let family = ResolvedFamily {
            lines: Vec::new(),
            id: "primary".to_owned(),
            members: primary,
            adjust: Adjust::Holm,
            per_model: false,
        };
        adjust(&mut self.comparisons, &[family]);
    }
}

pub(crate) fn comparison(
    evaluation: &str,
    metric: &str,
    models: (&str, &str),
    pair: PairComparison,
) -> Comparison {
    Comparison {
        evaluation: evaluation.to_owned(),
        condition: pair.condition,
        metric: crate::results::name(metric, &pair.scalar, pair.primary),
        title: pair.title,
        baseline: models.0.to_owned(),
        model: models.1.to_owned(),
        delta: pair.delta,
        ci: pair.ci,
        test: pair.test,
        p: pair.p,
        n: pair.n,
        direction: pair.direction,
        detail: Some(pair.detail),
        ..Comparison::default()
    }
}
