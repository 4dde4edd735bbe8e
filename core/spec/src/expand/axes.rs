//! The axes of a sweep and their product.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::located::Span;
use crate::source::Source;
use crate::tree::{Node, Value};

/// The axes of one `vary`, in the order written, and the cells that `except` leaves out.
#[derive(Debug, Clone, Default)]
pub(super) struct Axes {
    axes: Vec<Axis>,
    except: Vec<Vec<(String, Vec<String>)>>,
}

#[derive(Debug, Clone)]
struct Axis {
    name: String,
    span: Span,
    points: Vec<Point>,
    /// A single value is no axis: it is said of every cell, and stands in no name.
    constant: bool,
}

/// One value of an axis, or one of several variables together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    axis: String,
    /// As written.
    pub(super) label: String,
    bindings: Vec<(String, Node)>,
    constant: bool,
}

/// Where a cell lies: a point of each axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Coordinates(Vec<Point>);

impl Eq for Coordinates {}

impl Ord for Coordinates {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let labels = |coordinates: &Self| -> Vec<(String, String)> {
            let points = coordinates.0.iter();
            points
                .map(|point| (point.axis.clone(), point.label.clone()))
                .collect()
        };
        labels(self).cmp(&labels(other))
    }
}

impl PartialOrd for Coordinates {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Coordinates {
    /// `lr=1e-5,n=10`: part of the cell's name.
    pub(super) fn name(&self) -> String {
        let named = self.0.iter().filter(|point| !point.constant);
        let parts: Vec<String> = named
            .map(|point| format!("{}={}", point.axis, point.label))
            .collect();
        parts.join(",")
    }

    /// The variables and their values.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&String, &Node)> {
        let points = self.0.iter();
        points.flat_map(|point| point.bindings.iter().map(|(name, value)| (name, value)))
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> Option<&Node> {
        self.bindings()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Whether a value is one of them.
    pub(super) fn any(&self, holds: impl Fn(&Node) -> bool) -> bool {
        self.bindings().any(|(_, value)| holds(value))
    }

    /// The label on an axis.
    pub(super) fn label(&self, axis: &str) -> Option<&str> {
        let mut points = self.0.iter().filter(|point| point.axis == axis);
        points.next().map(|point| point.label.as_str())
    }

    /// The axes with their labels.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|point| (point.axis.as_str(), point.label.as_str()))
    }

    /// Without one axis.
    pub(super) fn without(&self, axis: &str) -> Self {
        Self(
            self.0
                .iter()
                .filter(|point| point.axis != axis)
                .cloned()
                .collect(),
        )
    }

    /// The part of the name whose variables are among those said.
    pub(super) fn saying(&self, said: &BTreeSet<String>) -> String {
        let says = |point: &&Point| point.bindings.iter().any(|(name, _)| said.contains(name));
        let parts: Vec<String> = self
            .0
            .iter()
            .filter(says)
            .map(|point| format!("{}={}", point.axis, point.label))
            .collect();
        parts.join(",")
    }
}

impl Axes {
    pub(super) fn read(
        source: &Source,
        vary: &Node,
        except: Option<&Node>,
        found: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut out = Self::default();
        let Value::Map(entries) = &vary.value else {
            found.push(
                Diagnostic::error("wrong-type", "`vary` has to be a map of variables")
                    .at(vary.span, format!("this is {}", vary.kind()))
                    .help("for example `vary: {lr: [1.0e-5, 2.0e-5], seed: [1, 2, 3]}`"),
            );
            return out;
        };
        for (key, values) in entries {
            let Some(name) = key.as_text() else {
                continue;
            };
            let axis = out.axis(source, name, key.span, values, found);
            out.axes.extend(axis);
        }
        if let Some(except) = except {
            out.read_except(source, except, found);
        }
        out
    }

    fn axis(
        &self,
        source: &Source,
        name: &str,
        span: Span,
        values: &Node,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Axis> {
        let mut points: Vec<Point> = Vec::new();
        let mut constant = false;
        match &values.value {
            Value::List(items) => {
                // A value that is none is told, and the others still are the axis.
                let read = items
                    .iter()
                    .map(|item| self.point(source, name, item, found));
                points.extend(read.flatten());
                if points.is_empty() && !items.is_empty() {
                    return None;
                }
            }
            // Several variables that change together, by a name for each.
            Value::Map(entries) => {
                for (key, variables) in entries {
                    let (Some(label), Value::Map(variables)) = (key.as_text(), &variables.value)
                    else {
                        found.push(
                            Diagnostic::error("wrong-type", format!("`{name}` has to be a map of variables for each of its values"))
                                .at(variables.span, format!("this is {}", variables.kind()))
                                .help("for example `size: {small: {lr: 1.0e-4, n: 10}, large: {lr: 1.0e-5, n: 100}}`"),
                        );
                        return None;
                    };
                    let mut bindings = vec![(name.to_owned(), Node::text(label))];
                    for (variable, value) in variables {
                        bindings.push((variable.as_text()?.to_owned(), said(source, value)));
                    }
                    points.push(Point {
                        axis: name.to_owned(),
                        label: fitting(label),
                        bindings,
                        constant: false,
                    });
                }
            }
            _ => {
                constant = true;
                points.push(Point {
                    constant: true,
                    ..self.point(source, name, values, found)?
                });
            }
        }
        if points.is_empty() {
            found.push(
                Diagnostic::error("no-values", format!("`{name}` has no values"))
                    .at(span, "nothing to vary")
                    .help("give it at least one, for example `[1, 2]`"),
            );
            return None;
        }
        let mut distinct: Vec<Point> = Vec::new();
        for point in points {
            let mut before = distinct.iter();
            if let Some(known) = before.find(|known| same(&known.label, &point.label)) {
                let how = match known.label == point.label {
                    true => format!("`{name}` has the value `{}` twice", point.label),
                    false => format!(
                        "`{name}` has one value twice: `{}` and `{}`",
                        known.label, point.label
                    ),
                };
                found.push(
                    Diagnostic::error("twice", how)
                        .at(span, "every value makes one cell")
                        .help("take one of them out"),
                );
            } else {
                distinct.push(point);
            }
        }
        Some(Axis {
            name: name.to_owned(),
            span,
            points: distinct,
            constant,
        })
    }

    fn point(
        &self,
        source: &Source,
        name: &str,
        node: &Node,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Point> {
        let value = said(source, node);
        let Some(label) = value
            .as_text()
            .filter(|_| !matches!(node.value, Value::Null | Value::Empty))
        else {
            found.push(
                Diagnostic::error("wrong-type", format!("a value of `{name}` has to be a text, a number, or `true` or `false`"))
                    .at(node.span, format!("this is {}", node.kind()))
                    .help("variables that change together stand in a map: `size: {small: {lr: 1.0e-4, n: 10}}`"),
            );
            return None;
        };
        Some(Point {
            axis: name.to_owned(),
            label: fitting(label),
            bindings: vec![(name.to_owned(), value)],
            constant: false,
        })
    }

    fn read_except(&mut self, source: &Source, except: &Node, found: &mut Vec<Diagnostic>) {
        let help =
            "for example `except: [{lr: 5.0e-5, n: 10}]`; a list of values leaves each of them out";
        let Value::List(items) = &except.value else {
            found.push(
                Diagnostic::error("wrong-type", "`except` has to be a list of maps")
                    .at(except.span, format!("this is {}", except.kind()))
                    .help(help),
            );
            return;
        };
        for item in items {
            let Value::Map(entries) = &item.value else {
                found.push(
                    Diagnostic::error("wrong-type", "`except` has to be a list of maps")
                        .at(item.span, format!("this is {}", item.kind()))
                        .help(help),
                );
                continue;
            };
            let mut conditions = Vec::new();
            for (key, values) in entries {
                let name = key.as_text().unwrap_or_default();
                let Some(axis) = self.axes.iter().find(|axis| axis.name == name) else {
                    let names: Vec<String> = self
                        .axes
                        .iter()
                        .map(|axis| format!("`{}`", axis.name))
                        .collect();
                    found.push(
                        Diagnostic::error("unknown-axis", format!("`vary` has no axis `{name}`"))
                            .at(key.span, "no such axis")
                            .help(format!("axes are {}", names.join(", "))),
                    );
                    continue;
                };
                let values = match &values.value {
                    Value::List(items) => items.iter().collect(),
                    _ => vec![values],
                };
                let mut labels = Vec::new();
                for value in values {
                    let label = said(source, value)
                        .as_text()
                        .map(fitting)
                        .unwrap_or_default();
                    match axis.points.iter().find(|point| same(&point.label, &label)) {
                        Some(point) => labels.push(point.label.clone()),
                        None => {
                            let known: Vec<String> = axis
                                .points
                                .iter()
                                .map(|point| format!("`{}`", point.label))
                                .collect();
                            found.push(
                                Diagnostic::error(
                                    "unknown-axis",
                                    format!("`{name}` has no value `{label}`"),
                                )
                                .at(value.span, "leaves nothing out")
                                .help(format!("its values are {}", known.join(", "))),
                            );
                        }
                    }
                }
                conditions.push((name.to_owned(), labels));
            }
            self.except.push(conditions);
        }
    }

    /// Number of cells before any is left out.
    pub(super) fn size(&self) -> u64 {
        self.axes
            .iter()
            .map(|axis| axis.points.len() as u64)
            .fold(1, u64::saturating_mul)
    }

    /// `2 x 3 x 5`.
    pub(super) fn product(&self) -> String {
        let sizes: Vec<String> = self
            .axes
            .iter()
            .map(|axis| axis.points.len().to_string())
            .collect();
        sizes.join(" x ")
    }

    /// Names of the axes, and where they are written.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, Span)> {
        let axes = self.axes.iter().filter(|axis| !axis.constant);
        axes.map(|axis| (axis.name.as_str(), axis.span))
    }

    /// The variables that an axis sets.
    pub(super) fn variables_of(&self, axis: &str) -> Vec<&str> {
        let axes = self.axes.iter().filter(|known| known.name == axis);
        let bindings = axes
            .flat_map(|axis| &axis.points)
            .flat_map(|point| &point.bindings);
        bindings.map(|(name, _)| name.as_str()).collect()
    }

    /// Every cell that is not left out, the last axis changing first.
    pub(super) fn cells(&self) -> Vec<Coordinates> {
        let mut cells = vec![Coordinates::default()];
        for axis in &self.axes {
            cells = cells
                .iter()
                .flat_map(|cell| {
                    axis.points.iter().map(|point| {
                        let mut points = cell.0.clone();
                        points.push(point.clone());
                        Coordinates(points)
                    })
                })
                .collect();
        }
        cells.retain(|cell| {
            !self.except.iter().any(|conditions| {
                !conditions.is_empty()
                    && conditions.iter().all(|(axis, labels)| {
                        cell.label(axis)
                            .is_some_and(|own| labels.iter().any(|label| label == own))
                    })
            })
        });
        cells
    }
}

/// A value with what it says where a text belongs.
fn said(source: &Source, node: &Node) -> Node {
    let mut value = node.clone();
    if value.said.is_none()
        && !matches!(node.value, Value::Text(_) | Value::List(_) | Value::Map(_))
    {
        value.said = Some(source.written(node.span).trim().to_owned());
    }
    value
}

/// A label that can stand in the name of a file.
fn fitting(label: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    label
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

/// Whether two labels say the same value: `1e-05` is `1.0e-5`.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b
        || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a.to_bits() == b.to_bits())
}
