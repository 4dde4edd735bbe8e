//! Shapes and text at places in user units, drawn through plotters.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::backend::SvgBackend;
use super::palette::{Ink, marker};

/// Size of labels.
pub(super) const LABEL: f64 = 13.0;
/// Size of ticks and values.
pub(super) const SMALL: f64 = 12.0;

/// A place in user units.
pub(super) type At = (f64, f64);

/// Where text stands relative to its place.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// A drawing area in user units.
pub(super) struct Canvas<'a> {
    pub(super) area: DrawingArea<SvgBackend<'a>, Shift>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(out: &'a mut String, width: u32, height: u32) -> Self {
        Self {
            area: SvgBackend::new(out, width, height).into_drawing_area(),
        }
    }

    /// A rectangle of the area, for axes of its own.
    pub(super) fn part(&self, corner: At, size: At) -> Self {
        Self {
            area: self.area.clone().shrink(pixel(corner), pixel(size)),
        }
    }

    pub(super) fn line(&self, from: At, to: At, ink: Ink, width: f64) -> Result<(), String> {
        self.path(&[from, to], ink, width)
    }

    pub(super) fn path(&self, points: &[At], ink: Ink, width: f64) -> Result<(), String> {
        let points: Vec<_> = points.iter().map(|at| pixel(*at)).collect();
        self.area
            .draw(&PathElement::new(points, stroke(ink, width)))
            .map_err(text)
    }

    /// A filled rectangle between two corners.
    pub(super) fn block(&self, a: At, b: At, ink: Ink, opacity: f64) -> Result<(), String> {
        let style = ink.color().mix(opacity).filled();
        self.area
            .draw(&Rectangle::new([pixel(a), pixel(b)], style))
            .map_err(text)
    }

    /// A filled shape.
    pub(super) fn shape(&self, points: &[At], ink: Ink, opacity: f64) -> Result<(), String> {
        let points: Vec<_> = points.iter().map(|at| pixel(*at)).collect();
        self.area
            .draw(&Polygon::new(points, ink.color().mix(opacity)))
            .map_err(text)
    }

    /// The marker of a style.
    pub(super) fn mark(&self, at: At, style: usize, radius: f64) -> Result<(), String> {
        let ink = Ink::Series(style);
        let corners = marker(style).corners(radius);
        if corners.is_empty() {
            let disc = Circle::new(
                pixel(at),
                (radius * 10.0).round() as i32,
                ink.color().filled(),
            );
            return self.area.draw(&disc).map_err(text);
        }
        let points: Vec<At> = corners.iter().map(|(x, y)| (at.0 + x, at.1 + y)).collect();
        self.shape(&points, ink, 1.0)
    }

    pub(super) fn label(&self, words: &str, at: At, ink: Ink, align: Align) -> Result<(), String> {
        self.words(words, at, ink, align, LABEL)
    }

    pub(super) fn words(
        &self,
        words: &str,
        at: At,
        ink: Ink,
        align: Align,
        size: f64,
    ) -> Result<(), String> {
        let anchor = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let style = font(ink, size).pos(Pos::new(anchor, VPos::Center));
        self.area
            .draw(&Text::new(words.to_owned(), pixel(at), style))
            .map_err(text)
    }

    /// An interval: a line with short caps, horizontal or vertical.
    pub(super) fn whisker(&self, from: At, to: At, ink: Ink) -> Result<(), String> {
        let cap = if from.1 == to.1 {
            (0.0, 4.0)
        } else {
            (4.0, 0.0)
        };
        self.line(from, to, ink, 2.0)?;
        for end in [from, to] {
            self.line(
                (end.0 - cap.0, end.1 - cap.1),
                (end.0 + cap.0, end.1 + cap.1),
                ink,
                2.0,
            )?;
        }
        Ok(())
    }
}

/// Text of a size in an ink, as plotters wants it: in tenths.
pub(super) fn font(ink: Ink, size: f64) -> TextStyle<'static> {
    TextStyle {
        font: ("sans-serif", size * 10.0).into_font(),
        color: ink.color().to_backend_color(),
        pos: Pos::default(),
    }
}

/// A line of a width in an ink, as plotters wants it: in tenths.
pub(super) fn stroke(ink: Ink, width: f64) -> ShapeStyle {
    ink.color().stroke_width((width * 10.0).round() as u32)
}

fn pixel((x, y): At) -> (i32, i32) {
    ((x * 10.0).round() as i32, (y * 10.0).round() as i32)
}

/// Errors of plotters as text: their types name the backend's lifetime.
pub(super) fn text<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> String {
    error.to_string()
}
