//! How wide text is, without asking which fonts are installed.
//!
//! The advance widths of Helvetica, in thousandths of the font size; the fonts a browser picks for `sans-serif` are
//! close to them. Every machine lays a chart out alike.

/// From U+0020 to U+007E.
#[rustfmt::skip]
const ADVANCE: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// Width of a line of text, in the unit of `size`.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The text, shortened with an ellipsis to at most that width.
pub(crate) fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = width("…", size);
    for c in text.chars() {
        used += advance(c) * size;
        if used > room {
            break;
        }
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}

/// The text on one line, or on two where it does not fit: what stands last is often what tells labels apart.
pub(crate) fn wrapped(text: &str, size: f64, room: f64) -> Vec<String> {
    if width(text, size) <= room {
        return vec![text.to_owned()];
    }
    let breaks = text.match_indices(' ').map(|(place, _)| place);
    let mut fitting = breaks.filter(|place| width(&text[..*place], size) <= room);
    match fitting.next_back() {
        Some(place) => vec![
            text[..place].to_owned(),
            fit(text[place..].trim_start(), size, room),
        ],
        None => vec![fit(text, size, room)],
    }
}

fn advance(c: char) -> f64 {
    let code = c as usize;
    let thousandths = match code {
        0x20..=0x7e => ADVANCE[code - 0x20],
        // Thin and combining characters, superscripts, then everything that is as wide as a letter.
        0x300..=0x36f => 0,
        0x2009 | 0x202f => 200,
        0x2070..=0x207e | 0xb2 | 0xb3 | 0xb9 => 350,
        0x2026 => 1000,
        // East Asian scripts and pictures take a whole em.
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xff00..=0xff60
        | 0x1f000.. => 1000,
        _ => 584,
    };
    f64::from(thousandths) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_follow_the_table() {
        assert!((width("AVA", 10.0) - 20.01).abs() < 1e-9);
        assert!(width("漢字", 10.0) > width("ab", 10.0));
    }

    #[test]
    fn long_text_is_shortened() {
        let short = fit("knowledge-drift under false context", 12.0, 90.0);
        assert!(
            short.ends_with('…') && width(&short, 12.0) <= 90.0,
            "{short}"
        );
        assert_eq!(fit("base", 12.0, 90.0), "base");
    }

    #[test]
    fn the_end_of_a_label_is_kept_on_a_second_line() {
        let lines = wrapped("Top-10 entropy (drift, false-context)", 13.0, 170.0);
        assert_eq!(lines, ["Top-10 entropy (drift,", "false-context)"]);
        assert_eq!(wrapped("base", 13.0, 90.0), ["base"]);
        let word = wrapped("anunbreakablewordthatislong", 13.0, 60.0);
        assert!(word.len() == 1 && word[0].ends_with('…'));
    }
}
