//! Draws charts: [`ChartSpec`] to SVG.
//!
//! Plotters keeps scales, ticks and layout; [`backend`] writes the SVG. Titles and legends are left to the page, where
//! they wrap and can be read aloud.

mod axis;
mod backend;
mod canvas;
mod heatmap;
mod letters;
mod lines;
mod multiples;
mod palette;
mod pixels;
mod room;
mod rows;
pub(crate) mod run_graph;
mod stacked;
mod text_width;

use driftgauge_plugin_protocol::wire::{ChartKind, ChartSpec};

use crate::ReportError;
use crate::model::Figure;
pub(crate) use axis::LOG10;
pub(crate) use backend::escape;
use backend::tenths;
use canvas::Canvas;
use palette::Ink;
pub(crate) use palette::{DASHED, NEUTRAL, STYLES};

/// Style of a chart that stands alone, outside of a report: light, on any paper.
const ALONE: &str = include_str!("../assets/chart.css");

/// Width of a chart in user units, which are pixels of the page: text has one size in all charts. It fits a phone.
pub(crate) const NARROW: u32 = 340;
/// Width of a chart in a row of two, and of one on paper.
pub(crate) const MIDDLE: u32 = 528;
/// Width of a chart that has a row of its own.
pub(crate) const WIDE: u32 = 1000;

/// Room around a chart that stands alone.
const MARGIN: u32 = 8;

/// A drawn chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawing {
    /// Size in user units.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Elements, without the `svg` around them.
    pub(crate) body: String,
}

/// Draws a figure that has room.
///
/// # Errors
/// When plotters refuses to draw it.
fn draw(figure: &Figure, width: u32) -> Result<Drawing, ReportError> {
    let drawn = match figure.chart.kind {
        ChartKind::Bar | ChartKind::GroupedBar | ChartKind::Forest | ChartKind::Box => {
            rows::draw(figure, width)
        }
        ChartKind::Line | ChartKind::Scatter | ChartKind::Reliability | ChartKind::Histogram => {
            lines::draw(figure, width)
        }
        ChartKind::SmallMultiples => multiples::draw(figure, width),
        ChartKind::StackedBar => stacked::draw(figure, width),
        ChartKind::Heatmap => heatmap::draw(figure, width),
    };
    drawn.map_err(|detail| ReportError::Draw {
        figure: figure.id.clone(),
        detail,
    })
}

/// The chart as an element of the page, once for each width: the style sheet shows the one that fits.
pub(crate) fn inline(figure: &Figure, widths: &[u32]) -> Result<String, ReportError> {
    let (figure, left_out) = room::fitted(figure);
    let mut out = String::new();
    for width in widths {
        let drawing = draw(&figure, *width)?;
        let id = format!("{}~{width}", figure.id);
        let class = format!("chart w{width}");
        let title = &figure.chart.title;
        out.push_str(&svg(&drawing, &id, title, &figure.description, &class, ""));
    }
    if !left_out.is_empty() {
        out.push_str(&format!(
            "<p class=\"small\">{left_out} All are in <code>report.json</code>.</p>\n"
        ));
    }
    Ok(out)
}

/// A drawing as an element of the page.
pub(crate) fn element(drawing: &Drawing, id: &str, title: &str, description: &str) -> String {
    svg(drawing, id, title, description, "chart", "")
}

/// The chart as a file of its own, with its legend.
pub(crate) fn alone(figure: &Figure) -> Result<String, ReportError> {
    let drawing = with_legend(figure)?;
    let style = format!("<style>{ALONE}</style>\n");
    let title = &figure.chart.title;
    let text = svg(
        &drawing,
        &figure.id,
        title,
        &figure.description,
        "chart",
        &style,
    );
    let (width, height) = (drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN);
    let rest = text.split_once(" role=").map_or("", |(_, rest)| rest);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"-{MARGIN} -{MARGIN} {width} {height}\" role={rest}"
    ))
}

/// The same as a picture, and the characters that stand in it as boxes with their codes.
pub(crate) fn picture(figure: &Figure) -> Result<(Vec<u8>, Vec<char>), ReportError> {
    let drawing = with_legend(figure)?;
    let bytes = pixels::png(&drawing).map_err(|detail| ReportError::Draw {
        figure: figure.id.clone(),
        detail,
    })?;
    Ok((bytes, pixels::lacking(&drawing)))
}

/// A drawing with the keys of its series below it, line by line, and what it left out.
fn with_legend(figure: &Figure) -> Result<Drawing, ReportError> {
    let (figure, left_out) = room::fitted(figure);
    let mut drawing = draw(&figure, MIDDLE)?;
    if needs_legend(&figure.chart) {
        legend(&mut drawing, &figure);
    }
    if !left_out.is_empty() {
        drawing.body.push_str(&format!(
            "<text class=\"muted\" x=\"0\" y=\"{}\" font-size=\"{}\">{left_out}</text>\n",
            drawing.height + 14,
            canvas::SMALL,
        ));
        drawing.height += 20;
    }
    Ok(drawing)
}

fn legend(drawing: &mut Drawing, figure: &Figure) {
    const LINE: f64 = 20.0;
    const KEY: f64 = 34.0;
    const GAP: f64 = 18.0;
    let room = f64::from(drawing.width);
    let (mut x, mut y) = (0.0, f64::from(drawing.height) + 4.0);
    for (index, series) in figure.chart.series.iter().enumerate() {
        let style = figure.styles.get(index).copied().unwrap_or(index);
        let name = text_width::fit(&series.name, canvas::LABEL, room - KEY - 4.0);
        // Fonts differ in width.
        let wide = KEY + text_width::width(&name, canvas::LABEL) * 1.12;
        if x > 0.0 && x + wide > room {
            (x, y) = (0.0, y + LINE);
        }
        drawing.body.push_str(&format!(
            "{}<text class=\"text\" x=\"{}\" y=\"{}\" font-size=\"{}\">{}</text>\n",
            key_shapes(style, (x, y)),
            tenth(x + KEY),
            tenth(y + 12.0),
            canvas::LABEL,
            escape(&name),
        ));
        x += wide + GAP;
    }
    drawing.height = (y + LINE).ceil() as u32;
}

/// The series that a figure shows with their styles, where a legend tells them apart.
pub(crate) fn keys(figure: &Figure) -> Vec<(usize, String)> {
    if !needs_legend(&figure.chart) {
        return Vec::new();
    }
    let (figure, _) = room::fitted(figure);
    let series = figure.chart.series.iter().enumerate();
    let key = |(at, series): (usize, &driftgauge_plugin_protocol::wire::Series)| {
        let style = figure.styles.get(at).copied().unwrap_or(at);
        (style, series.name.clone())
    };
    series.map(key).collect()
}

fn tenth(value: f64) -> String {
    tenths((value * 10.0).round() as i32)
}

fn svg(
    drawing: &Drawing,
    id: &str,
    title: &str,
    description: &str,
    class: &str,
    style: &str,
) -> String {
    let (width, height) = (drawing.width, drawing.height);
    format!(
        "<svg class=\"{class}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n{style}{}</svg>\n",
        escape(title),
        escape(description),
        drawing.body
    )
}

/// The line and marker of a style, for legends.
pub(crate) fn key(style: usize) -> String {
    format!(
        "<svg class=\"key\" viewBox=\"0 0 28 14\" aria-hidden=\"true\">{}</svg>",
        key_shapes(style, (0.0, 0.0)).replace('\n', "")
    )
}

fn key_shapes(style: usize, (left, top): (f64, f64)) -> String {
    let class = Ink::Solid(style).class_name();
    let corners = palette::marker(style).corners(4.0);
    let (x, y) = (left + 14.0, top + 7.0);
    let mark = if corners.is_empty() {
        format!(
            "<circle class=\"fill {class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
            tenth(x),
            tenth(y)
        )
    } else {
        let corners = corners.iter();
        let points = corners.map(|(dx, dy)| format!("{},{}", tenth(x + dx), tenth(y + dy)));
        let points = points.collect::<Vec<_>>().join(" ");
        format!("<polygon class=\"fill {class}\" points=\"{points}\"/>")
    };
    format!(
        "<line class=\"line {class}\" stroke-width=\"2\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n{mark}\n",
        tenth(left + 1.0),
        tenth(y),
        tenth(left + 27.0),
        tenth(y)
    )
}

/// Whether the series are told apart by a legend; charts in rows carry their labels themselves.
fn needs_legend(chart: &ChartSpec) -> bool {
    let rows = matches!(
        chart.kind,
        ChartKind::Bar
            | ChartKind::GroupedBar
            | ChartKind::Forest
            | ChartKind::Heatmap
            | ChartKind::Box
            | ChartKind::SmallMultiples
    );
    !rows && chart.series.len() > 1
}

/// A chart without data says so.
fn empty(width: u32) -> Result<Drawing, String> {
    let mut body = String::new();
    Canvas::new(&mut body, width, 60).label(
        "no data",
        (f64::from(width) / 2.0, 30.0),
        Ink::Muted,
        canvas::Align::Middle,
    )?;
    Ok(Drawing {
        width,
        height: 60,
        body,
    })
}

#[cfg(test)]
mod tests;
