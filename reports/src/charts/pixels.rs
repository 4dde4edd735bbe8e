//! A chart as pixels: the elements that [`super::backend`] wrote, drawn with a font that comes with driftgauge, so that every machine
//! gives the same picture. Colours and dashes are those of the style sheet of charts that stand alone.

use tiny_skia::{
    Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};

use super::letters::{self, Anchor};
use super::{ALONE, Drawing, MARGIN};

/// Pixels of a user unit, of which an inch has 96: 300 to the inch, what journals ask for.
const SCALE: f32 = 3.125;

/// The picture of a drawing, on white, as PNG.
///
/// # Errors
/// When it holds what cannot be drawn, or would be too large.
pub(super) fn png(drawing: &Drawing) -> Result<Vec<u8>, String> {
    let pixels = |side: u32| ((side + 2 * MARGIN) as f32 * SCALE).round() as u32;
    let mut picture = Pixmap::new(pixels(drawing.width), pixels(drawing.height))
        .ok_or("the picture is too large")?;
    picture.fill(Color::WHITE);
    for line in drawing.body.lines() {
        Element::read(line)?.draw(&mut picture)?;
    }
    picture.encode_png().map_err(|error| error.to_string())
}

/// The characters of a drawing that the font of pictures lacks, each once.
pub(super) fn lacking(drawing: &Drawing) -> Vec<char> {
    let elements = drawing
        .body
        .lines()
        .filter_map(|line| Element::read(line).ok());
    let texts = elements.filter(|element| element.name == "text");
    letters::lacking(&texts.map(|text| text.words()).collect::<String>())
}

/// An element as it stands in the drawing, one a line.
struct Element<'a> {
    name: &'a str,
    line: &'a str,
}

impl<'a> Element<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let name = line
            .strip_prefix('<')
            .and_then(|rest| rest.split(' ').next());
        let name = name.ok_or_else(|| format!("`{line}` is no element"))?;
        Ok(Self { name, line })
    }

    fn text(&self, attribute: &str) -> Option<&'a str> {
        let key = format!(" {attribute}=\"");
        let (_, rest) = self.line.split_once(&key)?;
        rest.split('"').next()
    }

    fn number(&self, attribute: &str) -> f32 {
        let text = self.text(attribute);
        text.and_then(|text| text.parse().ok()).unwrap_or(0.0)
    }

    fn draw(&self, picture: &mut Pixmap) -> Result<(), String> {
        if self.name == "text" {
            return self.write(picture);
        }
        let Some(path) = self.path()? else {
            return Ok(());
        };
        let place = on_paper(Transform::identity());
        let mut paint = self.paint();
        if self.classes().next() == Some("line") {
            let width = self
                .text("stroke-width")
                .and_then(|width| width.parse().ok());
            let stroke = Stroke {
                width: width.unwrap_or(1.0),
                dash: self.dash(),
                ..Stroke::default()
            };
            picture.stroke_path(&path, &paint, &stroke, place, None);
        } else {
            let opacity = self.text("fill-opacity").and_then(|part| part.parse().ok());
            paint.shader.apply_opacity(opacity.unwrap_or(1.0));
            picture.fill_path(&path, &paint, FillRule::Winding, place, None);
        }
        Ok(())
    }

    /// Its outline; `None` where it has no extent.
    fn path(&self) -> Result<Option<Path>, String> {
        let mut path = PathBuilder::new();
        match self.name {
            "line" => {
                path.move_to(self.number("x1"), self.number("y1"));
                path.line_to(self.number("x2"), self.number("y2"));
            }
            "rect" => {
                let size = (self.number("width"), self.number("height"));
                let rect = Rect::from_xywh(self.number("x"), self.number("y"), size.0, size.1);
                rect.into_iter().for_each(|rect| path.push_rect(rect));
            }
            "circle" => path.push_circle(self.number("cx"), self.number("cy"), self.number("r")),
            "polyline" | "polygon" => {
                for (place, point) in self.points().into_iter().enumerate() {
                    match place {
                        0 => path.move_to(point.0, point.1),
                        _ => path.line_to(point.0, point.1),
                    }
                }
                if self.name == "polygon" {
                    path.close();
                }
            }
            other => return Err(format!("no picture has an element `{other}`")),
        }
        Ok(path.finish())
    }

    fn points(&self) -> Vec<(f32, f32)> {
        let pairs = self.text("points").unwrap_or_default().split(' ');
        let point = |pair: &str| {
            let (x, y) = pair.split_once(',')?;
            Some((x.parse().ok()?, y.parse().ok()?))
        };
        pairs.filter_map(point).collect()
    }

    fn classes(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text("class").unwrap_or_default().split(' ')
    }

    fn paint(&self) -> Paint<'static> {
        let mut paint = Paint::default();
        let colour = self.classes().find_map(|class| {
            let rule = format!(".{class}");
            colour(declared(&rule, "color").or_else(|| declared(&rule, "fill"))?)
        });
        paint.set_color(colour.unwrap_or(Color::BLACK));
        paint
    }

    fn dash(&self) -> Option<StrokeDash> {
        let of = |class: &str| {
            let own = format!("{}.{class}", self.name);
            declared(&own, "stroke-dasharray")
                .or_else(|| declared(&format!(".{class}"), "stroke-dasharray"))
        };
        // Of several rules the last holds: `solid` and `dashed` stand behind the series.
        let lengths = self.classes().filter_map(of).last()?;
        let lengths = lengths.split(' ').filter_map(|length| length.parse().ok());
        StrokeDash::new(lengths.collect(), 0.0)
    }

    /// Letters, from the place and in the direction that the element says.
    fn write(&self, picture: &mut Pixmap) -> Result<(), String> {
        let anchor = match self.text("text-anchor") {
            Some("middle") => Anchor::Middle,
            Some("end") => Anchor::End,
            _ => Anchor::Start,
        };
        let size = self.number("font-size");
        let at = (self.number("x"), self.number("y"));
        if let Some(path) = letters::outlines(&self.words(), size, anchor, at)? {
            let place = on_paper(turned(self.text("transform")));
            picture.fill_path(&path, &self.paint(), FillRule::Winding, place, None);
        }
        Ok(())
    }

    /// What a text says.
    fn words(&self) -> String {
        let inner = self
            .line
            .split_once('>')
            .and_then(|(_, rest)| rest.split_once("</"));
        unescape(inner.map_or("", |(words, _)| words))
    }
}

/// From user units to pixels, the margin between.
fn on_paper(place: Transform) -> Transform {
    let margin = MARGIN as f32;
    place
        .post_translate(margin, margin)
        .post_scale(SCALE, SCALE)
}

/// `translate(12 40) rotate(270)`.
fn turned(transform: Option<&str>) -> Transform {
    let numbers: Vec<f32> = transform
        .unwrap_or_default()
        .split(['(', ')', ' '])
        .filter_map(|part| part.parse().ok())
        .collect();
    match numbers.as_slice() {
        [x, y, degrees] => Transform::from_rotate(*degrees).post_translate(*x, *y),
        _ => Transform::identity(),
    }
}

/// What the style sheet says of a selector.
fn declared(selector: &str, property: &str) -> Option<&'static str> {
    let rules = ALONE.split('}').filter_map(|rule| rule.split_once('{'));
    let own = rules.filter(|(selectors, _)| {
        let mut all = selectors.trim().split(',');
        all.any(|one| one == selector)
    });
    let mut values = own
        .flat_map(|(_, body)| body.split(';'))
        .filter_map(|entry| {
            let (name, value) = entry.split_once(':')?;
            (name == property && value != "currentColor").then_some(value)
        });
    values.next()
}

/// `#0072b2` or `#fff`.
fn colour(text: &str) -> Option<Color> {
    let digits = text.strip_prefix('#')?;
    let part = |place: usize| {
        let long = digits.len() == 6;
        let own = if long {
            digits.get(2 * place..2 * place + 2)?
        } else {
            digits.get(place..=place)?
        };
        let value = u8::from_str_radix(own, 16).ok()?;
        Some(if long { value } else { value * 17 })
    };
    Some(Color::from_rgba8(part(0)?, part(1)?, part(2)?, 255))
}

/// What [`super::escape`] made of a text, back.
fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::palette::Ink;

    fn drawn(body: &str) -> Pixmap {
        let drawing = Drawing {
            width: 40,
            height: 20,
            body: body.to_owned(),
        };
        Pixmap::decode_png(&png(&drawing).unwrap()).unwrap()
    }

    fn at(picture: &Pixmap, x: f32, y: f32) -> (u8, u8, u8) {
        let place = |value: f32| ((value + MARGIN as f32) * SCALE) as u32;
        let pixel = picture.pixel(place(x), place(y)).unwrap();
        (pixel.red(), pixel.green(), pixel.blue())
    }

    #[test]
    fn shapes_stand_where_the_svg_has_them() {
        let picture = drawn(
            "<rect class=\"fill s1\" x=\"2\" y=\"1\" width=\"10\" height=\"5\"/>\n\
             <line class=\"line s2\" x1=\"20\" y1=\"10\" x2=\"30\" y2=\"10\" stroke-width=\"4\"/>\n\
             <circle class=\"fill s3\" cx=\"36\" cy=\"4\" r=\"3\"/>",
        );
        assert_eq!((picture.width(), picture.height()), (175, 113));
        assert_eq!(at(&picture, 5.0, 3.0), (0x00, 0x72, 0xb2));
        assert_eq!(at(&picture, 25.0, 10.0), (0xc4, 0x55, 0x00));
        assert_eq!(at(&picture, 36.0, 4.0), (0x00, 0x80, 0x5e));
        assert_eq!(at(&picture, 1.0, 15.0), (255, 255, 255));
    }

    #[test]
    fn letters_end_where_their_anchor_says() {
        let dark = |anchor: &str| {
            let body = format!(
                "<text class=\"text\" x=\"20\" y=\"15\" font-size=\"12\"{anchor}>H−&lt;</text>"
            );
            let picture = drawn(&body);
            let columns = (0..40).filter(|x| {
                (0..20).any(|y| at(&picture, *x as f32 + 0.5, y as f32 + 0.5) != (255, 255, 255))
            });
            let columns: Vec<i32> = columns.collect();
            (columns[0], columns[columns.len() - 1])
        };
        let (start, end) = (dark(""), dark(" text-anchor=\"end\""));
        assert!(start.0 >= 20 && end.1 <= 20, "{start:?} {end:?}");
        // Turned by a quarter, it stands upright.
        let body = "<text class=\"text\" y=\"0\" transform=\"translate(10 18) rotate(270)\" font-size=\"12\">HHH</text>";
        let picture = drawn(body);
        assert!((0..16).any(|y| at(&picture, 6.0, y as f32) != (255, 255, 255)));
        assert!((12..40).all(|x| at(&picture, x as f32, 5.0) == (255, 255, 255)));
    }

    #[test]
    fn every_ink_has_a_colour_and_the_dashes_of_the_style_sheet() {
        let inks = [
            Ink::Axis,
            Ink::Grid,
            Ink::Reference,
            Ink::Text,
            Ink::Muted,
            Ink::Ground,
        ];
        let series = (0..8).map(Ink::Series);
        let neutral = (0..4).map(|index| Ink::Series(super::super::NEUTRAL + index));
        for ink in inks.into_iter().chain(series).chain(neutral) {
            let class = ink.class_name();
            let rule = format!(".{class}");
            let own = declared(&rule, "color").or_else(|| declared(&rule, "fill"));
            assert!(own.and_then(colour).is_some(), "{class}");
        }
        let dash = |line| Element::read(line).unwrap().dash();
        assert!(dash("<polyline class=\"line s2\" points=\"\"/>").is_some());
        assert!(dash("<polyline class=\"line s2 solid\" points=\"\"/>").is_none());
        assert!(dash("<line class=\"line ref\"/>").is_some());
        assert!(dash("<line class=\"line s2\"/>").is_none());
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        let drawing = Drawing {
            width: 4,
            height: 4,
            body: "<image href=\"x\"/>".to_owned(),
        };
        assert_eq!(
            png(&drawing).unwrap_err(),
            "no picture has an element `image`"
        );
    }
}
