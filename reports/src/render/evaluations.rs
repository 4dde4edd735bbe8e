//! The sections of the evaluations. Of thousands of them those that tell something have room first; the others are named, with where
//! their numbers are.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use minijinja::{Environment, Value, context};

use super::fit::{Draw, with_rows};
use super::long;
use crate::model::{Effect, EvaluationInfo, MetricSection};
use crate::{Report, ReportError};

/// Where a link leads to whose section found no room.
const LEFT_OUT: &str = "evaluations-left-out";
/// Evaluations without a section that are named.
const NAMED: usize = 200;
/// Rows of a table within a section.
const ROWS: usize = 240;

/// The evaluations of a report, and what became of their sections.
pub(super) struct Evaluations<'a> {
    report: &'a Report,
    environment: &'a Environment<'static>,
    shared: &'a Value,
    /// Evaluations with a number, with their sections, in the order of the spec.
    measured: Vec<(&'a EvaluationInfo, Vec<&'a MetricSection>)>,
    /// Sections that were drawn, by evaluation.
    drawn: RefCell<HashMap<usize, String>>,
    /// Evaluations that found no room when the part was drawn last.
    left_out: RefCell<Vec<usize>>,
}

impl<'a> Evaluations<'a> {
    pub(super) fn of(
        report: &'a Report,
        environment: &'a Environment<'static>,
        shared: &'a Value,
    ) -> Self {
        let mut sections: HashMap<&str, Vec<&MetricSection>> = HashMap::new();
        for section in &report.sections {
            sections
                .entry(&section.evaluation)
                .or_default()
                .push(section);
        }
        let measured = report
            .asked
            .evaluations
            .iter()
            .filter(|entry| entry.measured);
        let measured = measured.map(|entry| {
            let own = sections.remove(entry.id.as_str()).unwrap_or_default();
            (entry, own)
        });
        Self {
            report,
            environment,
            shared,
            measured: measured.collect(),
            drawn: RefCell::default(),
            left_out: RefCell::default(),
        }
    }

    pub(super) fn draw(&self) -> Draw<'_> {
        Box::new(|room| self.draw_in(room))
    }

    /// As many sections as have room, in the order of the spec, and the names of the others.
    fn draw_in(&self, room: usize) -> Result<String, ReportError> {
        let mut left = room;
        let mut shown: HashSet<usize> = HashSet::new();
        for place in self.ranked() {
            let known = self.drawn.borrow().get(&place).map(String::len);
            // A section that would leave others no room gives way itself.
            let most = room / 3;
            let size = match known {
                Some(size) if size <= most => size,
                _ => {
                    let text = self.section(place, most)?;
                    let size = text.len();
                    self.drawn.borrow_mut().insert(place, text);
                    size
                }
            };
            if size > left {
                break;
            }
            left -= size;
            shown.insert(place);
        }
        let all = 0..self.measured.len();
        let (shown, left_out): (Vec<usize>, Vec<usize>) = all.partition(|at| shown.contains(at));
        let drawn = self.drawn.borrow();
        let mut text: String = shown.iter().map(|place| drawn[place].as_str()).collect();
        if !left_out.is_empty() {
            text.push_str(&self.told(&left_out)?);
        }
        *self.left_out.borrow_mut() = left_out;
        Ok(text)
    }

    /// Those that tell something first, then the first ones.
    fn ranked(&self) -> Vec<usize> {
        let gated: HashSet<&str> = self
            .report
            .resolved
            .iter()
            .flat_map(|experiment| &experiment.gates)
            .map(|gate| gate.evaluation.as_str())
            .collect();
        let clear: HashSet<&str> = self
            .report
            .headline
            .rows
            .iter()
            .filter(|row| {
                let deltas = row
                    .cells
                    .iter()
                    .flatten()
                    .filter_map(|cell| cell.delta.as_ref());
                deltas
                    .into_iter()
                    .any(|delta| delta.effect != Effect::Unclear)
            })
            .map(|row| row.evaluation.as_str())
            .collect();
        let mut ranked: Vec<usize> = (0..self.measured.len()).collect();
        ranked.sort_by_key(|&place| {
            let id = self.measured[place].0.id.as_str();
            (!gated.contains(id), !clear.contains(id))
        });
        ranked
    }

    fn section(&self, place: usize, room: usize) -> Result<String, ReportError> {
        let (evaluation, sections) = &self.measured[place];
        let baseline = self.report.headline.baseline.as_deref();
        let sections: Vec<Value> = sections
            .iter()
            .map(|section| {
                let rows = long::numbers(&section.numbers, section.models.len(), baseline);
                context! { long => Value::from_serialize(rows), ..Value::from_serialize(section) }
            })
            .collect();
        let evaluation = Value::from_serialize(evaluation);
        with_rows(room, |most| {
            let template = self.environment.get_template("evaluation.html")?;
            Ok(template.render(context! {
                evaluation,
                sections,
                number => place + 1,
                most => most.min(ROWS),
                ..self.shared.clone()
            })?)
        })
    }

    fn told(&self, left_out: &[usize]) -> Result<String, ReportError> {
        let names: Vec<&str> = left_out
            .iter()
            .take(NAMED)
            .map(|place| self.measured[*place].0.id.as_str())
            .collect();
        let template = self.environment.get_template("left_out.html")?;
        Ok(template.render(
            context! { id => LEFT_OUT, all => left_out.len(), of => self.measured.len(), names },
        )?)
    }

    /// The page with links to sections that are not there leading to where that is told.
    pub(super) fn relinked(&self, page: String) -> String {
        if self.left_out.borrow().is_empty() {
            return page;
        }
        let named = page.split(" id=\"").skip(1);
        let there: HashSet<&str> = named.filter_map(|rest| rest.split('"').next()).collect();
        let mut pieces = page.split("href=\"#");
        let mut out = String::with_capacity(page.len());
        out.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (target, rest) = piece.split_once('"').unwrap_or((piece, ""));
            // Links to samples are read by the script.
            let leads = there.contains(target) || target.contains('=');
            let target = if leads { target } else { LEFT_OUT };
            out.push_str(&format!("href=\"#{target}\"{rest}"));
        }
        out
    }
}
