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

/// Added to a style: the model's colour with dashes, for a second line about the same model.
pub(crate) const DASHED: usize = 100;
/// Added to a style: no model's colour, for series that are outcomes or bins and no models.
pub(crate) const NEUTRAL: usize = 1000;

impl Ink {
    /// The stand-in colour.
    pub(super) fn color(self) -> RGBColor {
        match self {
            Self::Axis => RGBColor(0, 0, 1),
            Self::Grid => RGBColor(0, 0, 2),
            Self::Reference => RGBColor(0, 0, 3),
            Self::Text => RGBColor(0, 0, 4),
            Self::Muted => RGBColor(0, 0, 5),
            Self::Ground => RGBColor(0, 0, 6),
            Self::Series(style) => series(style, 1),
            Self::Solid(style) => series(style, 2),
        }
    }

    /// The class of this ink.
    pub(super) fn class_name(self) -> String {
        let RGBColor(kind, look, code) = self.color();
        Self::class(BackendColor {
            alpha: 1.0,
            rgb: (kind, look, code),
        })
    }

    /// The class behind a stand-in colour.
    pub(super) fn class(color: BackendColor) -> String {
        let (kind, look, code) = color.rgb;
        let name = match (kind, code) {
            (0, 1) => "axis",
            (0, 2) => "grid",
            (0, 3) => "ref",
            (0, 5) => "muted",
            (0, 6) => "ground",
            (0, _) => "text",
            (3, _) if look == 2 => return format!("n{} solid", code % NEUTRALS + 1),
            (3, _) => return format!("n{}", code % NEUTRALS + 1),
            (2, _) => return format!("s{} dashed", code + 1),
            _ if look == 2 => return format!("s{} solid", code + 1),
            _ => return format!("s{}", code + 1),
        };
        name.to_owned()
    }
}

/// Shades of grey for series that are no models.
const NEUTRALS: u8 = 4;

fn series(style: usize, look: u8) -> RGBColor {
    let code = (style % NEUTRAL % DASHED % STYLES) as u8;
    match style {
        NEUTRAL.. => RGBColor(3, look, code),
        DASHED.. => RGBColor(2, look, code),
        _ => RGBColor(1, look, code),
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
    ][style % NEUTRAL % DASHED % STYLES]
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
