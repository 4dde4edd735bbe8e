//! Numeric axes: ranges, ticks, and how ticks read.

use std::ops::Range;

use driftgauge_plugin_protocol::wire::Axis;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::backend::SvgBackend;
use super::canvas::{Canvas, SMALL, font, stroke, text};
use super::palette::Ink;
use super::text_width::fit;
use crate::numbers;

/// The unit of logarithms to base 10, whose ticks read as what they are logarithms of.
pub(crate) const LOG10: &str = "log10";

/// A plot with its scales, after its axes were drawn.
pub(super) struct Plot<'a, 'b> {
    chart: ChartContext<'b, SvgBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
}

/// What to draw of the axes.
pub(super) struct Frame<'a> {
    /// Space around the plot: top, right, bottom, left.
    pub(super) margin: [f64; 4],
    /// Horizontal scale.
    pub(super) x: Range<f64>,
    /// Vertical scale, from bottom to top.
    pub(super) y: Range<f64>,
    /// Horizontal axis with ticks, when it is numeric.
    pub(super) x_axis: Option<&'a Axis>,
    /// Vertical axis with ticks, when it is numeric.
    pub(super) y_axis: Option<&'a Axis>,
    /// Ticks wished for on the horizontal axis.
    pub(super) x_ticks: usize,
}

impl<'a, 'b> Plot<'a, 'b> {
    /// Draws the axes.
    pub(super) fn draw(canvas: &'b Canvas<'a>, frame: &Frame<'_>) -> Result<Self, String> {
        let [top, right, bottom, left] = frame.margin.map(|size| (size * 10.0).round() as i32);
        let mut chart = ChartBuilder::on(&canvas.area)
            .margin_top(top)
            .margin_right(right)
            .x_label_area_size(bottom)
            .y_label_area_size(left)
            .build_cartesian_2d(frame.x.clone(), frame.y.clone())
            .map_err(text)?;
        let x_format = formatter(frame.x_axis, &frame.x);
        let y_format = formatter(frame.y_axis, &frame.y);
        let mut mesh = chart.configure_mesh();
        mesh.x_labels(frame.x_ticks)
            .y_labels(6)
            .max_light_lines(1)
            .x_label_formatter(&x_format)
            .y_label_formatter(&y_format)
            .bold_line_style(stroke(Ink::Grid, 1.0))
            .light_line_style(TRANSPARENT)
            .axis_style(stroke(Ink::Axis, 1.0))
            .label_style(font(Ink::Muted, SMALL))
            .axis_desc_style(font(Ink::Muted, SMALL))
            .set_all_tick_mark_size(40);
        // Titles stand in the middle of their axis, and end at the nearer edge of the canvas.
        let size = canvas.area.dim_in_pixel();
        let room = |from: i32, to: i32, all: u32| {
            let middle = (from + all as i32 - to) / 2;
            f64::from(2 * middle.min(all as i32 - middle)) / 10.0
        };
        let [across, along] = [room(left, right, size.0), room(top, bottom, size.1)];
        match frame.x_axis {
            Some(axis) => mesh.x_desc(fit(&title(axis), SMALL, across)),
            None => mesh.disable_x_axis().disable_x_mesh(),
        };
        match frame.y_axis {
            Some(axis) => mesh.y_desc(fit(&title(axis), SMALL, along)),
            None => mesh.disable_y_axis().disable_y_mesh(),
        };
        mesh.draw().map_err(text)?;
        Ok(Self { chart })
    }

    /// A point of the data in user units of the canvas.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.chart.backend_coord(&(x, y));
        (f64::from(x) / 10.0, f64::from(y) / 10.0)
    }
}

/// `label (unit)`, where the ticks do not show the unit themselves.
fn title(axis: &Axis) -> String {
    let shown = axis.unit.is_empty()
        || axis.unit == axis.label
        || numbers::is_share(&axis.unit)
        || matches!(
            axis.unit.as_str(),
            "percent" | "count" | "difference of ratios" | LOG10
        );
    if shown {
        axis.label.clone()
    } else {
        format!("{} ({})", axis.label, axis.unit)
    }
}

/// How the ticks of an axis read.
fn formatter(axis: Option<&Axis>, range: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let unit = axis.map_or("", |axis| axis.unit.as_str());
    let logarithmic = unit == LOG10;
    let span = (range.end - range.start).abs();
    let (scale, suffix, signed) = match unit {
        "difference of ratios" => (100.0, " pp", true),
        "percent" => (1.0, " %", false),
        unit if numbers::is_share(unit) => (100.0, " %", false),
        _ => (1.0, "", false),
    };
    // Ticks lie about a tenth of the span apart.
    let decimals = (-(span * scale / 10.0).log10()).ceil().clamp(0.0, 8.0) as usize;
    move |value: &f64| {
        if logarithmic {
            return numbers::power_of_ten(*value);
        }
        let value = value * scale;
        let text = format!("{:.decimals$}", value.abs());
        let zero = text.chars().all(|c| c == '0' || c == '.');
        let sign = match (zero, value < 0.0, signed) {
            (true, ..) => "",
            (_, true, _) => "\u{2212}",
            (_, _, true) => "+",
            _ => "",
        };
        format!("{sign}{text}{suffix}")
    }
}

/// A range that holds all values, the axis' own if it has one, with a little air.
pub(super) fn range(axis: &Axis, values: impl Iterator<Item = f64>, zero: bool) -> Range<f64> {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for value in values.filter(|value| value.is_finite() && value.abs() < 1e15) {
        low = low.min(value);
        high = high.max(value);
    }
    if let Some([from, to]) = axis
        .domain
        .filter(|[from, to]| from.abs() < 1e15 && to.abs() < 1e15 && from < to)
    {
        low = low.min(from);
        high = high.max(to);
    }
    if zero {
        low = low.min(0.0);
        high = high.max(0.0);
    }
    if low > high {
        return 0.0..1.0;
    }
    // Ticks of a range narrower than the precision of its bounds have no end.
    let least = (low.abs().max(high.abs()) * 1e-6).max(1e-9);
    if high - low < least {
        let middle = f64::midpoint(low, high);
        let half = (middle.abs() * 0.05).max(0.5e-3).max(least);
        return middle - half..middle + half;
    }
    let air = (high - low) * 0.02;
    low - air..high + air
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_never_empty() {
        let axis = Axis::default();
        for values in [
            vec![],
            vec![0.0],
            vec![1e9, 1e9],
            vec![f64::NAN],
            vec![f64::INFINITY, 3.0],
        ] {
            let range = range(&axis, values.iter().copied(), false);
            assert!(range.start < range.end, "{values:?} {range:?}");
        }
    }

    #[test]
    fn ticks_read_in_the_unit_of_the_axis() {
        let axis = |unit: &str| Axis {
            label: "a".into(),
            unit: unit.into(),
            domain: None,
        };
        assert_eq!(formatter(Some(&axis("ratio")), &(0.0..1.0))(&0.2), "20 %");
        assert_eq!(
            formatter(Some(&axis("difference of ratios")), &(-0.5..0.5))(&-0.2),
            "−20 pp"
        );
        assert_eq!(
            formatter(Some(&axis("difference of ratios")), &(-0.5..0.5))(&0.2),
            "+20 pp"
        );
        assert_eq!(formatter(Some(&axis("nats")), &(0.0..2.0))(&0.5), "0.5");
        let powers = [-5.0, -4.5, -2.0, 0.0, 3.0, 6.0]
            .map(|x| formatter(Some(&axis(LOG10)), &(-5.0..6.0))(&x));
        assert_eq!(powers, ["10⁻⁵", "", "0.01", "1", "1000", "10⁶"]);
    }
}
