//! Inks: what plotters knows as colours and the page knows as classes.
//!
//! Every ink is a fixed, made-up colour while plotters draws; the backend turns it back into a class name. The page's
//! style sheet decides what the class looks like, in light, in dark and in print.

use plotters::style::RGBColor;
use plotters_backend::BackendColor;

/// Series that differ in colour, marker and dashes before styles repeat.
pub(crate) const STYLES: usize = 8;

/// What is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Axis lines.
    Axis,
    /// Lines behind the data.
    Grid,
    /// Lines that mark zero or the diagonal.
    Reference,
    /// Text.
    Text,
    /// Text that stays behind.
    Muted,
    /// What the chart stands on.
    Ground,
    /// A series.
    Series(usize),
    /// A series without its dashes: its intervals, and its line where that stands alone.
    Solid(usize),
}

impl Ink {
    /// The stand-in colour.
    pub(super) fn color(self) -> RGBColor {
        let code = match self {
            Self::Axis => 1,
            Self::Grid => 2,
            Self::Reference => 3,
            Self::Text => 4,
            Self::Muted => 5,
            Self::Ground => 6,
            Self::Series(style) => 100 + (style % STYLES) as u8,
            Self::Solid(style) => 200 + (style % STYLES) as u8,
        };
        RGBColor(0, 0, code)
    }

    /// The class behind a stand-in colour.
    pub(super) fn class(color: BackendColor) -> &'static str {
        const SERIES: [&str; STYLES] = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
        const SOLID: [&str; STYLES] = [
            "s1 solid", "s2 solid", "s3 solid", "s4 solid", "s5 solid", "s6 solid", "s7 solid",
            "s8 solid",
        ];
        match color.rgb.2 {
            1 => "axis",
            2 => "grid",
            3 => "ref",
            5 => "muted",
            6 => "ground",
            code @ 200.. => SOLID[usize::from(code - 200) % STYLES],
            code @ 100.. => SERIES[usize::from(code - 100) % STYLES],
            _ => "text",
        }
    }
}

/// A marker: tells series apart without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle on its base.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle on its tip.
    Down,
    /// A plus sign.
    Plus,
    /// A saltire.
    Cross,
    /// A bar.
    Bar,
}

/// The marker of a style.
pub(crate) fn marker(style: usize) -> Marker {
    [
        Marker::Circle,
        Marker::Square,
        Marker::Triangle,
        Marker::Diamond,
        Marker::Down,
        Marker::Plus,
        Marker::Cross,
        Marker::Bar,
    ][style % STYLES]
}

impl Marker {
    /// Corners around the centre for a marker of that radius; none for a disc.
    pub(crate) fn corners(self, radius: f64) -> Vec<(f64, f64)> {
        let r = radius;
        let thin = r * 0.36;
        let plus = [
            (-thin, -r),
            (thin, -r),
            (thin, -thin),
            (r, -thin),
            (r, thin),
            (thin, thin),
            (thin, r),
            (-thin, r),
            (-thin, thin),
            (-r, thin),
            (-r, -thin),
            (-thin, -thin),
        ];
        match self {
            Self::Circle => Vec::new(),
            Self::Square => vec![
                (-0.88 * r, -0.88 * r),
                (0.88 * r, -0.88 * r),
                (0.88 * r, 0.88 * r),
                (-0.88 * r, 0.88 * r),
            ],
            Self::Triangle => vec![(0.0, -1.1 * r), (r, 0.8 * r), (-r, 0.8 * r)],
            Self::Diamond => vec![
                (0.0, -1.2 * r),
                (1.2 * r, 0.0),
                (0.0, 1.2 * r),
                (-1.2 * r, 0.0),
            ],
            Self::Down => vec![(0.0, 1.1 * r), (r, -0.8 * r), (-r, -0.8 * r)],
            Self::Plus => plus.to_vec(),
            Self::Cross => {
                let turn = std::f64::consts::FRAC_1_SQRT_2;
                let turned = plus.iter().map(|(x, y)| ((x - y) * turn, (x + y) * turn));
                turned.collect()
            }
            Self::Bar => vec![
                (-thin, -1.2 * r),
                (thin, -1.2 * r),
                (thin, 1.2 * r),
                (-thin, 1.2 * r),
            ],
        }
    }
}
