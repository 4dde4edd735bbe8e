//! Draws charts: [`ChartSpec`] to SVG.
//!
//! Plotters keeps scales, ticks and layout; [`backend`] writes the SVG. Titles and legends are left to the page, where
//! they wrap and can be read aloud.

mod axis;
mod backend;
mod canvas;
mod heatmap;
mod lines;
mod palette;
mod rows;
pub(crate) mod run_graph;
mod text_width;

use driftgauge_plugin_protocol::wire::{ChartKind, ChartSpec};

use crate::model::Figure;
use crate::{ReportError, sanitise};
pub(crate) use backend::escape;
use backend::tenths;
use canvas::Canvas;
pub(crate) use palette::STYLES;

/// Style of a chart that stands alone, outside of a report: light, on any paper.
const ALONE: &str = include_str!("../assets/chart.css");

/// Width of a chart in user units: about the pixels it has on a phone and in a row of three, where its text is then as large
/// as the small print of the page.
const WIDTH: u32 = 400;

/// A drawn chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawing {
    /// Size in user units.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Elements, without the `svg` around them.
    pub(crate) body: String,
}

/// Draws a figure.
///
/// # Errors
/// When plotters refuses to draw it.
pub(crate) fn draw(figure: &Figure) -> Result<Drawing, ReportError> {
    let drawn = match figure.chart.kind {
        ChartKind::Bar | ChartKind::GroupedBar | ChartKind::Forest => rows::draw(figure),
        ChartKind::Line | ChartKind::Reliability | ChartKind::Histogram => lines::draw(figure),
        ChartKind::Heatmap => heatmap::draw(figure),
    };
    drawn.map_err(|detail| ReportError::Draw {
        figure: figure.id.clone(),
        detail,
    })
}

/// The chart as an element of the page. `id` makes the ids of its title and description.
pub(crate) fn inline(drawing: &Drawing, id: &str, title: &str, description: &str) -> String {
    // A drawing wider than the others keeps its size, so that its text does too, and scrolls where there is no room.
    let size = if drawing.width > WIDTH {
        format!(" style=\"width:{}px;max-width:none\"", drawing.width)
    } else {
        String::new()
    };
    svg(drawing, id, title, description, &size, "")
}

/// The chart as a file of its own.
pub(crate) fn alone(drawing: &Drawing, figure: &Figure) -> String {
    let style = format!("<style>{ALONE}</style>\n");
    let xmlns = " xmlns=\"http://www.w3.org/2000/svg\"";
    svg(
        drawing,
        &figure.id,
        &figure.chart.title,
        &figure.description,
        xmlns,
        &style,
    )
}

fn svg(
    drawing: &Drawing,
    id: &str,
    title: &str,
    description: &str,
    attributes: &str,
    style: &str,
) -> String {
    let id = sanitise::slug(id);
    format!(
        "<svg{attributes} class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n{style}{}</svg>\n",
        drawing.width,
        drawing.height,
        escape(title),
        escape(description),
        drawing.body
    )
}

/// The line and marker of a style, for legends.
pub(crate) fn key(style: usize) -> String {
    let class = format!("s{}", style % STYLES + 1);
    let corners = palette::marker(style).corners(4.0);
    let mark = if corners.is_empty() {
        format!("<circle class=\"fill {class}\" cx=\"14\" cy=\"7\" r=\"4\"/>")
    } else {
        let tenth = |value: f64| tenths((value * 10.0).round() as i32);
        let points = corners
            .iter()
            .map(|(x, y)| format!("{},{}", tenth(14.0 + x), tenth(7.0 + y)));
        let points = points.collect::<Vec<_>>().join(" ");
        format!("<polygon class=\"fill {class}\" points=\"{points}\"/>")
    };
    format!(
        "<svg class=\"key\" viewBox=\"0 0 28 14\" aria-hidden=\"true\"><line class=\"line {class}\" stroke-width=\"2\" \
         x1=\"1\" y1=\"7\" x2=\"27\" y2=\"7\"/>{mark}</svg>"
    )
}

/// Whether the series are told apart by a legend; charts in rows carry their labels themselves.
pub(crate) fn needs_legend(chart: &ChartSpec) -> bool {
    let rows = matches!(
        chart.kind,
        ChartKind::Bar | ChartKind::GroupedBar | ChartKind::Forest | ChartKind::Heatmap
    );
    !rows && chart.series.len() > 1
}

/// A chart without data says so.
fn empty() -> Result<Drawing, String> {
    let mut body = String::new();
    Canvas::new(&mut body, WIDTH, 60).label(
        "no data",
        (f64::from(WIDTH) / 2.0, 30.0),
        palette::Ink::Muted,
        canvas::Align::Middle,
    )?;
    Ok(Drawing {
        width: WIDTH,
        height: 60,
        body,
    })
}
