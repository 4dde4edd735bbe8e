//! Letters of pictures, from the font that comes with driftgauge. A character that the font lacks stands as a box with its code in it, as
//! browsers draw what no font of theirs has: two names stay two names, and what was meant can be looked up.

use std::sync::LazyLock;

use tiny_skia::{Path, PathBuilder, Point, Rect, Transform};
use ttf_parser::{Face, OutlineBuilder};

use super::text_width;

/// Scripts of Latin, Greek and Cyrillic, numbers and signs; how it was made stands in `tests/python/make_font.py`.
const FONT: &[u8] = include_bytes!("../assets/font/chart.ttf");
/// Least width of a box, in sizes of the font.
const NARROWEST: f32 = 0.584;
/// Where a box ends above and below the line of writing, and how thick its frame is, in sizes of the font.
const ABOVE: f32 = 0.80;
const BELOW: f32 = 0.14;
const FRAME: f32 = 0.035;

static FACE: LazyLock<Option<Face<'static>>> = LazyLock::new(|| Face::parse(FONT, 0).ok());

/// Where a line of letters stands in relation to its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The outlines of a line of text; `None` where there is nothing to see.
///
/// # Errors
/// When the font cannot be read.
pub(super) fn outlines(
    words: &str,
    size: f32,
    anchor: Anchor,
    at: (f32, f32),
) -> Result<Option<Path>, String> {
    let face = FACE.as_ref().ok_or("the font cannot be read")?;
    let pen = Pen { face, size };
    let width: f32 = words.chars().map(|c| pen.advance(c)).sum();
    let mut x = at.0
        - match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
    let mut path = PathBuilder::new();
    for c in words.chars() {
        pen.write(&mut path, c, (x, at.1));
        x += pen.advance(c);
    }
    Ok(path.finish())
}

/// The characters of a text that the font lacks, each once.
pub(super) fn lacking(text: &str) -> Vec<char> {
    let mut found = Vec::new();
    let has = |c: char| {
        FACE.as_ref()
            .is_some_and(|face| face.glyph_index(c).is_some())
    };
    for c in text.chars() {
        if !c.is_control() && !has(c) && !found.contains(&c) {
            found.push(c);
        }
    }
    found
}

struct Pen<'a> {
    face: &'a Face<'static>,
    size: f32,
}

impl Pen<'_> {
    fn advance(&self, c: char) -> f32 {
        let Some(glyph) = self.face.glyph_index(c) else {
            return self.box_width(c);
        };
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) * self.scale()
    }

    /// As wide as the layout takes the character to be, where a code has room in that.
    fn box_width(&self, c: char) -> f32 {
        let taken = text_width::width(c.encode_utf8(&mut [0; 4]), 1.0) as f32;
        taken.max(NARROWEST) * self.size
    }

    fn scale(&self) -> f32 {
        self.size / f32::from(self.face.units_per_em())
    }

    fn write(&self, path: &mut PathBuilder, c: char, at: (f32, f32)) {
        match self.face.glyph_index(c) {
            Some(glyph) => self.glyph(path, glyph, self.scale(), at),
            None => self.code(path, c, at),
        }
    }

    fn glyph(
        &self,
        path: &mut PathBuilder,
        glyph: ttf_parser::GlyphId,
        scale: f32,
        (x, y): (f32, f32),
    ) {
        let mut outline = Outline {
            path,
            place: Transform::from_row(scale, 0.0, 0.0, -scale, x, y),
        };
        self.face.outline_glyph(glyph, &mut outline);
    }

    /// A frame with the code of a character in it, its digits in two rows.
    fn code(&self, path: &mut PathBuilder, c: char, (x, y): (f32, f32)) {
        let (width, height) = (self.box_width(c), (ABOVE + BELOW) * self.size);
        let frame = FRAME * self.size;
        let (left, top) = (x + frame, y - ABOVE * self.size);
        let (across, right) = (width - 2.0 * frame, x + width - 2.0 * frame);
        for (x, y, width, height) in [
            (left, top, across, frame),
            (left, top + height - frame, across, frame),
            (left, top, frame, height),
            (right, top, frame, height),
        ] {
            let side = Rect::from_xywh(x, y, width, height);
            side.into_iter().for_each(|side| path.push_rect(side));
        }
        let code = format!("{:04X}", u32::from(c));
        let columns = code.len().div_ceil(2);
        let room = ((across - 2.0 * frame) / columns as f32, height / 2.0);
        for (place, digit) in code.chars().enumerate() {
            let Some(glyph) = self.face.glyph_index(digit) else {
                continue;
            };
            let wide = f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(1));
            let bounds = self.face.glyph_bounding_box(glyph);
            let high = f32::from(bounds.map_or(1, |bounds| bounds.y_max).max(1));
            let scale = (room.0 / wide).min(0.74 * room.1 / high);
            let (column, row) = ((place % columns) as f32, (place / columns) as f32);
            let spare = (room.0 - wide * scale, room.1 - high * scale);
            let x = left + frame + column * room.0 + spare.0 / 2.0;
            let y = top + (row + 1.0) * room.1 - spare.1 / 2.0;
            self.glyph(path, glyph, scale, (x, y));
        }
    }
}

/// Outlines of letters, in user units.
struct Outline<'a> {
    path: &'a mut PathBuilder,
    place: Transform,
}

impl Outline<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let mut point = Point::from_xy(x, y);
        self.place.map_point(&mut point);
        (point.x, point.y)
    }
}

impl OutlineBuilder for Outline<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(words: &str) -> Vec<(f32, f32)> {
        let path = outlines(words, 20.0, Anchor::Start, (0.0, 0.0)).unwrap();
        let path = path.unwrap();
        path.points()
            .iter()
            .map(|point| (point.x, point.y))
            .collect()
    }

    #[test]
    fn what_the_font_lacks_is_named_once_and_stands_as_a_box_of_its_own() {
        assert_eq!(lacking("Größe, Ελλάς, Мир − 10⁻³ ✓"), ['\0'; 0]);
        assert_eq!(lacking("模型 a 模 ש 🙂\n"), ['模', '型', 'ש', '🙂']);
        let words = ["模", "型", "ש", "🙂", "\u{fffd}"];
        for (place, one) in words.iter().enumerate() {
            for other in &words[place + 1..] {
                assert_ne!(drawn(one), drawn(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_box_keeps_to_the_room_that_the_layout_gives_it() {
        for (words, ems) in [("模", 1.0), ("ש", 0.584), ("🙂", 1.0), ("模型模", 3.0)] {
            for (x, y) in drawn(words) {
                assert!((0.0..=ems * 20.0).contains(&x), "{words}: {x}");
                assert!(
                    (-ABOVE * 20.0 - 0.01..=BELOW * 20.0 + 0.01).contains(&y),
                    "{words}: {y}"
                );
            }
        }
    }
}
