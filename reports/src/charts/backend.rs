//! A plotters backend with an SVG of our own: classes instead of colours, one decimal, the same bytes everywhere.
//!
//! Plotters' pixels are tenths of a user unit, so its integer coordinates give smooth curves.

use std::convert::Infallible;
use std::fmt::Write as _;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

use super::palette::Ink;
use super::text_width;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Draws into a string; the caller puts the `svg` element around it.
pub(super) struct SvgBackend<'a> {
    out: &'a mut String,
    size: (u32, u32),
}

impl<'a> SvgBackend<'a> {
    /// A canvas of `width` by `height` user units.
    pub(super) fn new(out: &'a mut String, width: u32, height: u32) -> Self {
        Self {
            out,
            size: (width * 10, height * 10),
        }
    }

    fn element(&mut self, name: &str, attributes: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "<{name} {attributes}/>");
    }
}

/// Tenths as a decimal number.
pub(super) fn tenths(value: i32) -> String {
    let (sign, size) = if value < 0 {
        ("-", value.unsigned_abs())
    } else {
        ("", value.unsigned_abs())
    };
    match size % 10 {
        0 => format!("{sign}{}", size / 10),
        rest => format!("{sign}{}.{rest}", size / 10),
    }
}

fn points(path: impl IntoIterator<Item = BackendCoord>) -> String {
    let points = path
        .into_iter()
        .map(|(x, y)| format!("{},{}", tenths(x), tenths(y)));
    points.collect::<Vec<_>>().join(" ")
}

fn invisible(color: BackendColor) -> bool {
    color.alpha == 0.0
}

/// ` class="line s1" stroke-width="1.5"`, without what is the default.
fn stroke<S: BackendStyle>(style: &S) -> String {
    let mut text = format!("class=\"line {}\"", Ink::class(style.color()));
    if style.stroke_width() != 10 {
        let _ = write!(
            text,
            " stroke-width=\"{}\"",
            tenths(style.stroke_width() as i32)
        );
    }
    text
}

fn paint(color: BackendColor) -> String {
    let mut text = format!("class=\"fill {}\"", Ink::class(color));
    if color.alpha < 1.0 {
        let _ = write!(text, " fill-opacity=\"{:.2}\"", color.alpha);
    }
    text
}

impl DrawingBackend for SvgBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        if !invisible(color) {
            let place = format!(
                "x=\"{}\" y=\"{}\" width=\"0.1\" height=\"0.1\"",
                tenths(x),
                tenths(y)
            );
            self.element("rect", &format!("{} {place}", paint(color)));
        }
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        if !invisible(style.color()) {
            let place = format!(
                "x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"",
                tenths(from.0),
                tenths(from.1),
                tenths(to.0),
                tenths(to.1)
            );
            self.element("line", &format!("{} {place}", stroke(style)));
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if !invisible(style.color()) {
            // Corners in any order: a negative width would be invisible.
            let place = format!(
                "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
                tenths(a.0.min(b.0)),
                tenths(a.1.min(b.1)),
                tenths((a.0 - b.0).abs()),
                tenths((a.1 - b.1).abs())
            );
            let look = if fill {
                paint(style.color())
            } else {
                stroke(style)
            };
            self.element("rect", &format!("{look} {place}"));
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if !invisible(style.color()) {
            self.element(
                "polyline",
                &format!("{} points=\"{}\"", stroke(style), points(path)),
            );
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if !invisible(style.color()) {
            let look = if fill {
                paint(style.color())
            } else {
                stroke(style)
            };
            let place = format!(
                "cx=\"{}\" cy=\"{}\" r=\"{}\"",
                tenths(center.0),
                tenths(center.1),
                tenths(radius as i32)
            );
            self.element("circle", &format!("{look} {place}"));
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if !invisible(style.color()) {
            self.element(
                "polygon",
                &format!("{} points=\"{}\"", paint(style.color()), points(path)),
            );
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Drawn {
        if invisible(style.color()) {
            return Ok(());
        }
        let anchor = style.anchor();
        let align = match anchor.h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        // From the anchor to the baseline, so that viewers need not agree on what `central` is.
        let drop = match anchor.v_pos {
            VPos::Top => 0.74,
            VPos::Center => 0.35,
            VPos::Bottom => -0.22,
        };
        let drop = (style.size() * drop).round() as i32;
        let place = match style.transform() {
            FontTransform::None => format!("x=\"{}\" y=\"{}\"", tenths(x), tenths(y + drop)),
            turned => {
                let degrees = match turned {
                    FontTransform::Rotate90 => 90,
                    FontTransform::Rotate180 => 180,
                    _ => 270,
                };
                format!(
                    "y=\"{}\" transform=\"translate({} {}) rotate({degrees})\"",
                    tenths(drop),
                    tenths(x),
                    tenths(y)
                )
            }
        };
        let size = tenths(style.size().round() as i32);
        let class = Ink::class(style.color());
        let _ = writeln!(
            self.out,
            "<text class=\"{class}\" {place} font-size=\"{size}\"{align}>{}</text>",
            escape(text)
        );
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let width = text_width::width(text, style.size());
        Ok((width.round() as u32, style.size().round() as u32))
    }
}

/// Text between tags or in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let visible = driftgauge_record::visible(text);
    let mut out = String::with_capacity(visible.len());
    for c in visible.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_one_decimal() {
        assert_eq!(tenths(1234), "123.4");
        assert_eq!(tenths(-5), "-0.5");
        assert_eq!(tenths(120), "12");
    }

    #[test]
    fn rectangles_keep_their_size_in_any_order_of_corners() {
        let mut out = String::new();
        let mut backend = SvgBackend::new(&mut out, 10, 10);
        let color = BackendColor {
            alpha: 1.0,
            rgb: (1, 1, 0),
        };
        backend.draw_rect((50, 60), (20, 10), &color, true).unwrap();
        assert_eq!(
            out,
            "<rect class=\"fill s1\" x=\"2\" y=\"1\" width=\"3\" height=\"5\"/>\n"
        );
    }

    #[test]
    fn labels_cannot_leave_their_element() {
        assert_eq!(
            escape("</text><script>\u{1b}"),
            "&lt;/text&gt;&lt;script&gt;␛"
        );
    }
}
