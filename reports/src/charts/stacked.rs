//! Bars made of several series end to end, one row for each category.

use super::axis::{Frame, Plot, range};
use super::canvas::{Align, Canvas, LABEL, SMALL};
use super::palette::Ink;
use super::text_width::{self, fit};
use super::{Drawing, empty};
use crate::model::Figure;
use crate::numbers;

const ROW: f64 = 28.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 46.0;
const TICK: f64 = 58.0;

/// A category with the heights of its series, each with its style.
struct Stack<'a> {
    label: &'a str,
    parts: Vec<(usize, f64)>,
}

impl Stack<'_> {
    fn sum(&self) -> f64 {
        self.parts.iter().map(|(_, height)| height).sum()
    }
}

pub(super) fn draw(figure: &Figure, width: u32) -> Result<Drawing, String> {
    let stacks = stacks(figure);
    if stacks.is_empty() {
        return empty(width);
    }
    let axis = &figure.chart.y;
    let x = range(axis, stacks.iter().map(Stack::sum), true);
    let longest = |words: &mut dyn Iterator<Item = String>, size| {
        words
            .map(|word| text_width::width(&word, size))
            .fold(0.0, f64::max)
    };
    let edge = f64::from(width);
    // Fonts differ in width.
    let labels = longest(
        &mut stacks.iter().map(|stack| stack.label.to_owned()),
        LABEL,
    ) * 1.18;
    let left = (labels + 12.0).clamp(40.0, 0.42 * edge);
    let says = |stack: &Stack<'_>| numbers::value(stack.sum(), &axis.unit);
    let right = longest(&mut stacks.iter().map(says), SMALL) + 16.0;
    let height = TOP + BOTTOM + ROW * stacks.len() as f64;

    let mut body = String::new();
    let canvas = Canvas::new(&mut body, width, height as u32);
    let plot = Plot::draw(
        &canvas,
        &Frame {
            margin: [TOP, right, BOTTOM, left],
            x,
            y: 0.0..1.0,
            x_axis: Some(axis),
            y_axis: None,
            x_ticks: ((edge - left - right) / TICK).clamp(2.0, 6.0) as usize,
        },
    )?;
    for (index, stack) in stacks.iter().enumerate() {
        let middle = TOP + ROW * (index as f64 + 0.5);
        let label = fit(stack.label, LABEL, left - 8.0);
        canvas.label(&label, (0.0, middle), Ink::Text, Align::Start)?;
        let mut from = 0.0;
        for (style, height) in &stack.parts {
            let ends = [from, from + height].map(|value| plot.at(value, 0.0).0);
            // A hair of space between parts.
            let end = (ends[1] - 1.0).max(ends[0]);
            canvas.block(
                (ends[0], middle - 9.0),
                (end, middle + 9.0),
                Ink::Series(*style),
                0.55,
            )?;
            from += height;
        }
        canvas.words(&says(stack), (edge, middle), Ink::Muted, Align::End, SMALL)?;
    }
    drop(plot);
    drop(canvas);
    Ok(Drawing {
        width,
        height: height as u32,
        body,
    })
}

fn stacks(figure: &Figure) -> Vec<Stack<'_>> {
    let mut stacks: Vec<Stack<'_>> = Vec::new();
    for (index, series) in figure.chart.series.iter().enumerate() {
        let style = figure.styles.get(index).copied().unwrap_or(index);
        for point in &series.points {
            let drawable = |height: &f64| height.is_finite() && (0.0..1e15).contains(height);
            let Some(height) = point.y.filter(drawable) else {
                continue;
            };
            let found = stacks.iter().position(|stack| stack.label == point.label);
            let at = found.unwrap_or_else(|| {
                stacks.push(Stack {
                    label: &point.label,
                    parts: Vec::new(),
                });
                stacks.len() - 1
            });
            stacks[at].parts.push((style, height));
        }
    }
    stacks
}
