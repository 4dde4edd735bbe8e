//! Searching among the cells of a sweep: which cells are made next, and which candidate is the best of what was measured.
//!
//! A search with halving goes from rung to rung, one for each value of an axis. At each, the candidates are ordered: those that keep
//! every limit before those that do not, these by how far they miss them in all, then by the number that is searched by, then in the
//! order of the spec. The first of them go on. (Successive halving: Jamieson and Talwalkar, 2016; the order under limits: Deb, 2000.)
//! Everything follows from the numbers, so a search that is begun again goes the same way.

use std::cmp::Ordering;
use std::collections::HashSet;

use driftgauge_cell as cell;
use driftgauge_record::{Bounded, Results, Searched, Tried};
use driftgauge_spec::spec::{ExperimentSpec, MetricPath, Search};
use indexmap::{IndexMap, IndexSet};

use crate::resolved::{ResolvedEvaluation, ResolvedExperiment};
use crate::resolved_search::{Candidate, Measure, ResolvedBound, ResolvedSearch};

/// The searches of a spec that was checked.
pub(crate) fn resolve(
    spec: &ExperimentSpec,
    evaluations: &IndexMap<String, ResolvedEvaluation>,
) -> Vec<ResolvedSearch> {
    let searches = spec.search.iter();
    searches
        .filter_map(|(id, search)| one(id.get(), search, evaluations))
        .collect()
}

fn one(
    id: &str,
    search: &Search,
    evaluations: &IndexMap<String, ResolvedEvaluation>,
) -> Option<ResolvedSearch> {
    let measure = |path: &str, condition: Option<&str>| {
        let path = MetricPath::parse(path)?;
        let conditions = &evaluations.get(path.evaluation)?.conditions;
        let condition = condition.or_else(|| conditions.keys().next().map(String::as_str))?;
        Some(Measure {
            evaluation: path.evaluation.to_owned(),
            metric: match path.number {
                Some(number) => format!("{}.{number}", path.metric),
                None => path.metric.to_owned(),
            },
            condition: condition.to_owned(),
        })
    };
    let condition = |id: &Option<driftgauge_spec::Text>| id.as_ref().map(|id| id.get().clone());
    let (path, maximise) = search.objective()?;
    let goal = measure(path, condition(&search.condition).as_deref())?;
    let mut bounds = Vec::new();
    for bound in &search.subject_to {
        for (limit, at) in bound.limits() {
            bounds.push(ResolvedBound {
                measure: measure(&bound.metric, condition(&bound.condition).as_deref())?,
                limit,
                at: **at,
            });
        }
    }
    let models: Vec<&str> = search
        .models
        .iter()
        .map(|model| model.get().as_str())
        .collect();
    let halving = search.halving.as_ref().map(|halving| {
        let axis = halving.axis.get().clone();
        let values = in_order(models.iter().filter_map(|model| cell::label(model, &axis)));
        (axis, values, *halving.keep)
    });
    Some(ResolvedSearch {
        id: id.to_owned(),
        goal,
        maximise,
        bounds,
        candidates: candidates(&models, halving.as_ref()),
        halving,
    })
}

/// Values from the smallest on where all are numbers, else in the order of the spec.
fn in_order<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let labels: IndexSet<&str> = labels.collect();
    let mut labels: Vec<&str> = labels.into_iter().collect();
    let number = |label: &str| label.parse::<f64>().ok();
    if labels.iter().all(|label| number(label).is_some()) {
        labels.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
    }
    labels.into_iter().map(str::to_owned).collect()
}

fn candidates(models: &[&str], halving: Option<&(String, Vec<String>, f64)>) -> Vec<Candidate> {
    let mut out: IndexMap<String, Vec<Vec<String>>> = IndexMap::new();
    for model in models {
        let name = cell::without(model, |axis| {
            axis == cell::SEED || halving.is_some_and(|(own, _, _)| own == axis)
        });
        let (rung, rungs) = match halving {
            None => (Some(0), 1),
            Some((axis, values, _)) => {
                let label = cell::label(model, axis);
                let rung = values
                    .iter()
                    .position(|value| label.is_some_and(|label| label == value));
                (rung, values.len())
            }
        };
        let cells = out.entry(name).or_insert_with(|| vec![Vec::new(); rungs]);
        if let Some(rung) = rung {
            cells[rung].push((*model).to_owned());
        }
    }
    let candidates = out.into_iter();
    candidates
        .map(|(name, rungs)| Candidate { name, rungs })
        .collect()
}

/// How far a search is by what was measured.
struct Progress<'a> {
    search: &'a ResolvedSearch,
    results: &'a Results,
    /// Of each candidate, the rung that it reached.
    reached: Vec<usize>,
    /// Candidates from the best on; nothing while cells are still to be measured.
    order: Option<Vec<usize>>,
    /// Those that were not given up.
    alive: Vec<usize>,
}

/// How far limits are missed, then the number that is searched by, then the place in the spec: the least is the best.
struct Rank {
    missed: f64,
    goal: f64,
    place: usize,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.missed
            .total_cmp(&other.missed)
            .then_with(|| self.goal.total_cmp(&other.goal))
            .then_with(|| self.place.cmp(&other.place))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

impl<'a> Progress<'a> {
    fn of(search: &'a ResolvedSearch, results: &'a Results) -> Self {
        let all: Vec<usize> = (0..search.candidates.len()).collect();
        let mut progress = Self {
            search,
            results,
            reached: vec![0; all.len()],
            order: None,
            alive: all,
        };
        let rungs = search.rungs();
        let mut given_up = Vec::new();
        for rung in 0..rungs {
            for &candidate in &progress.alive {
                progress.reached[candidate] = rung;
            }
            if !progress
                .alive
                .iter()
                .all(|&candidate| progress.is_measured(candidate))
            {
                return progress;
            }
            let mut alive = std::mem::take(&mut progress.alive);
            alive.sort_by_cached_key(|&candidate| progress.rank(candidate));
            if let Some((_, _, keep)) = search.halving.as_ref().filter(|_| rung + 1 < rungs) {
                let kept = (alive.len() as f64 * keep).ceil().max(1.0) as usize;
                let behind = alive.split_off(kept.min(alive.len()));
                // Who was given up later stands before who was given up earlier.
                given_up.splice(0..0, behind);
            }
            progress.alive = alive;
        }
        let mut order = progress.alive.clone();
        order.extend(given_up);
        progress.order = Some(order);
        progress
    }

    fn cells(&self, candidate: usize) -> &'a [String] {
        &self.search.candidates[candidate].rungs[self.reached[candidate]]
    }

    /// Whether every number that counts was made of every cell, be it that some are undefined.
    fn is_measured(&self, candidate: usize) -> bool {
        let measures = self.search.bounds.iter().map(|bound| &bound.measure);
        measures.chain([&self.search.goal]).all(|measure| {
            self.cells(candidate).iter().all(|cell| {
                let metrics = &self.results.metrics;
                metrics.iter().any(|metric| {
                    measure.is(&metric.evaluation, &metric.metric, &metric.condition)
                        && metric.model == *cell
                })
            })
        })
    }

    /// Mean over the cells of a candidate; nothing where one of them has no number.
    fn mean(&self, candidate: usize, of: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let cells = self.cells(candidate);
        let values: Option<Vec<f64>> = cells.iter().map(|cell| of(cell)).collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    fn value(&self, candidate: usize, measure: &Measure) -> Option<f64> {
        self.mean(candidate, |cell| {
            let mut metrics = self.results.metrics.iter();
            let found = metrics.find(|metric| {
                measure.is(&metric.evaluation, &metric.metric, &metric.condition)
                    && metric.model == cell
            });
            found?.value
        })
    }

    fn limited(&self, candidate: usize, bound: &ResolvedBound) -> Option<f64> {
        if !bound.limit.is_of_difference() {
            return self.value(candidate, &bound.measure);
        }
        self.mean(candidate, |cell| {
            let mut comparisons = self.results.comparisons.iter();
            let found = comparisons.find(|comparison| {
                bound.measure.is(
                    &comparison.evaluation,
                    &comparison.metric,
                    &comparison.condition,
                ) && comparison.model == cell
            });
            found?.delta
        })
    }

    /// How far the limits are missed in all; infinite where one cannot be judged.
    fn missed(&self, candidate: usize) -> f64 {
        let missed = self.search.bounds.iter().map(|bound| {
            let value = self.limited(candidate, bound);
            value.map_or(f64::INFINITY, |value| bound.missed_by(value))
        });
        missed.sum()
    }

    /// Who stands before whom, the least first.
    fn rank(&self, candidate: usize) -> Rank {
        let value = self.value(candidate, &self.search.goal);
        let sign = if self.search.maximise { -1.0 } else { 1.0 };
        Rank {
            missed: self.missed(candidate),
            goal: value.map_or(f64::INFINITY, |value| sign * value),
            place: candidate,
        }
    }

    /// Models that need not be made, by what is known.
    fn not_yet(&self) -> impl Iterator<Item = &'a String> {
        let rungs = self.search.candidates.iter().zip(&self.reached);
        rungs.flat_map(|(candidate, reached)| candidate.rungs[reached + 1..].iter().flatten())
    }

    fn record(&self) -> Searched {
        let search = self.search;
        let order = self.order.clone().unwrap_or_default();
        let tried: Vec<Tried> = order
            .iter()
            .map(|&candidate| Tried {
                candidate: search.candidates[candidate].name.clone(),
                models: self.cells(candidate).to_vec(),
                rung: search
                    .halving
                    .as_ref()
                    .map(|(axis, values, _)| format!("{axis}={}", values[self.reached[candidate]])),
                value: self.value(candidate, &search.goal),
                bounds: search
                    .bounds
                    .iter()
                    .map(|bound| {
                        let value = self.limited(candidate, bound);
                        Bounded {
                            value,
                            kept: value.is_some_and(|value| bound.missed_by(value) <= 0.0),
                        }
                    })
                    .collect(),
            })
            .collect();
        let best = tried
            .first()
            .filter(|first| first.value.is_some() && first.bounds.iter().all(|bound| bound.kept));
        Searched {
            search: search.id.clone(),
            goal: search.goal.named(),
            condition: search.goal.condition.clone(),
            maximise: search.maximise,
            bounds: search.bounds.iter().map(ResolvedBound::rule).collect(),
            halving: search.halving.as_ref().map(|(axis, _, _)| axis.clone()),
            best: best.map(|best| best.candidate.clone()),
            tried,
        }
    }
}

/// Models that are not made as long as nothing more is measured than `results`: what a search has not come to, or gave up.
/// What another search or a model that stays rests on is made all the same.
#[must_use]
pub fn left_out(experiment: &ResolvedExperiment, results: &Results) -> HashSet<String> {
    let (mut out, mut wanted) = (HashSet::new(), HashSet::new());
    for search in &experiment.searches {
        let progress = Progress::of(search, results);
        let not_yet: HashSet<&String> = progress.not_yet().collect();
        let all = search
            .candidates
            .iter()
            .flat_map(|one| one.rungs.iter().flatten());
        wanted.extend(all.filter(|model| !not_yet.contains(model)).cloned());
        out.extend(not_yet.into_iter().cloned());
    }
    out.retain(|model| !wanted.contains(model));
    out
}

/// What the searches came to.
pub(crate) fn searched(experiment: &ResolvedExperiment, results: &Results) -> Vec<Searched> {
    let searches = experiment.searches.iter();
    searches
        .map(|search| Progress::of(search, results).record())
        .collect()
}

impl ResolvedExperiment {
    /// The same without some models, their gates and published values. Models that others rest on stay, unasked.
    #[must_use]
    pub fn without(&self, models: &HashSet<String>) -> Self {
        let mut out = self.clone();
        let stays = |model: &String| !models.contains(model);
        for evaluation in out.evaluations.values_mut() {
            evaluation.models.retain(stays);
        }
        out.evaluations
            .retain(|_, evaluation| !evaluation.models.is_empty());
        let asked: HashSet<String> = out.evaluations.keys().cloned().collect();
        for evaluation in out.evaluations.values_mut() {
            for other in [&mut evaluation.over_refusal_of, &mut evaluation.judge_check] {
                other.take_if(|id| !asked.contains(id));
            }
        }
        out.compare
            .pairs
            .retain(|(first, second)| stays(first) && stays(second));
        out.gates.retain(|gate| stays(&gate.model));
        out.expected.retain(|expected| stays(&expected.model));
        let mut needed: HashSet<String> = HashSet::new();
        for evaluation in out.evaluations.values() {
            let judges = evaluation.judges.values();
            needed.extend(judges.filter_map(|judge| judge.model.clone()));
            needed.extend(evaluation.kl.iter().map(|kl| kl.reference.clone()));
        }
        needed.extend(out.models.keys().filter(|id| stays(id)).cloned());
        loop {
            let rests_on: Vec<String> = needed
                .iter()
                .filter_map(|id| out.models.get(id))
                .flat_map(|model| {
                    let base = model.source.base().map(str::to_owned);
                    base.into_iter().chain(model.replicate_of.clone())
                })
                .filter(|id| !needed.contains(id))
                .collect();
            if rests_on.is_empty() {
                break;
            }
            needed.extend(rests_on);
        }
        out.models.retain(|id, _| needed.contains(id));
        out
    }
}
