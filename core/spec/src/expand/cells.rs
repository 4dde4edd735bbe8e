//! The cells of a spec's sweeps, and which of them a selector means: `tuned`, `tuned@n=100`, `tuned@n=100,seed=1`.

use super::axes::{Coordinates, same};
use crate::diagnostic::Diagnostic;
use crate::located::Span;

/// One cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// The id in the spec.
    pub(super) family: String,
    /// The id with the coordinates behind it.
    pub(super) name: String,
    pub(super) coordinates: Coordinates,
}

/// The cells of a section.
#[derive(Debug, Clone, Default)]
pub(super) struct Cells(Vec<Cell>);

impl Cells {
    pub(super) fn add(&mut self, cell: Cell) {
        self.0.push(cell);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The cell of a name.
    pub(super) fn named(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|cell| cell.name == name)
    }

    /// The cells that a selector means; `None` for what names no sweep.
    pub(super) fn selected(
        &self,
        selector: &str,
        span: Span,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Vec<&Cell>> {
        let (family, conditions) = match selector.split_once('@') {
            Some((family, conditions)) => (family, conditions),
            None => (selector, ""),
        };
        let family: Vec<&Cell> = self.0.iter().filter(|cell| cell.family == family).collect();
        let first = family.first()?;
        let mut wanted: Vec<(&str, &str)> = Vec::new();
        for condition in conditions.split(',').filter(|part| !part.trim().is_empty()) {
            let (axis, label) = condition.split_once('=').unwrap_or((condition, ""));
            wanted.push((axis.trim(), label.trim()));
        }
        let mut wrong = |message: String, help: String| {
            found.push(
                Diagnostic::error("unknown-cell", message)
                    .at(span, "selects no cell")
                    .help(help),
            );
        };
        for (axis, label) in &wanted {
            let labels: Vec<&str> = {
                let mut labels: Vec<&str> = Vec::new();
                for own in family
                    .iter()
                    .filter_map(|cell| cell.coordinates.label(axis))
                {
                    if !labels.contains(&own) {
                        labels.push(own);
                    }
                }
                labels
            };
            if labels.is_empty() {
                let axes: Vec<String> = first
                    .coordinates
                    .labels()
                    .map(|(axis, _)| format!("`{axis}`"))
                    .collect();
                wrong(
                    format!("`{selector}`: `{}` has no axis `{axis}`", first.family),
                    format!("its axes are {}", axes.join(", ")),
                );
                return Some(Vec::new());
            }
            if !labels.iter().any(|own| same(own, label)) {
                wrong(
                    format!("`{selector}`: no cell has `{axis}={label}`"),
                    format!("values of `{axis}` are {}", labels.join(", ")),
                );
                return Some(Vec::new());
            }
        }
        let fits = |cell: &&Cell| {
            wanted.iter().all(|(axis, label)| {
                cell.coordinates
                    .label(axis)
                    .is_some_and(|own| same(own, label))
            })
        };
        let selected: Vec<&Cell> = family.iter().copied().filter(fits).collect();
        if selected.is_empty() {
            wrong(
                format!("`{selector}` selects no cell"),
                "`except` leaves it out".to_owned(),
            );
        }
        Some(selected)
    }

    /// The one cell that a selector means for something at other coordinates: the one that agrees with them.
    pub(super) fn one(
        &self,
        selector: &str,
        span: Span,
        at: Option<&Coordinates>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<String> {
        let selected = self.selected(selector, span, found)?;
        let agrees = |cell: &&&Cell| {
            at.is_none_or(|at| {
                at.labels().all(|(axis, label)| {
                    cell.coordinates
                        .label(axis)
                        .is_none_or(|own| same(own, label))
                })
            })
        };
        let agreeing: Vec<&&Cell> = selected.iter().filter(agrees).collect();
        match agreeing.as_slice() {
            [only] => Some(only.name.clone()),
            [] if selected.is_empty() => None,
            several => {
                let names: Vec<String> = several
                    .iter()
                    .take(3)
                    .map(|cell| format!("`{}`", cell.name))
                    .collect();
                found.push(
                    Diagnostic::error(
                        "several-cells",
                        format!(
                            "`{selector}` means {} cells, and one is needed here",
                            several.len()
                        ),
                    )
                    .at(span, "which one?")
                    .help(match names.is_empty() {
                        true => "no cell agrees with the others here".to_owned(),
                        false => format!("for example {}", names.join(", ")),
                    }),
                );
                None
            }
        }
    }
}
