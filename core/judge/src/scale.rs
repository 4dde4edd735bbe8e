//! The scale that a judge names beside a number: `4 (out of 10)`, `**4** / **10**`, `4, on a scale from 1 to 10`.

/// What tells the highest number of a scale before it.
const NAMED: [&str; 3] = ["out of", "scale", "/"];

/// Whether the text behind a number, up to the end of its clause, names another highest number than `most`.
pub(super) fn is_another(rest: &str, most: f64) -> bool {
    let plain = rest.replace(['*', '_', '`'], "");
    // A comma may stand before `on a scale`; a bar divides the cells of a table.
    let line = plain
        .split(['\n', ';', '{', '}', '|'])
        .next()
        .unwrap_or_default();
    let clause = line.split(", ").enumerate();
    let parts = clause.take_while(|(place, part)| *place == 0 || part.contains("scale"));
    let ends = parts.filter_map(|(_, part)| {
        let sentence = part.split(". ").next().unwrap_or_default();
        let at = NAMED.iter().filter_map(|name| sentence.find(name)).min()?;
        last_number(&sentence[at..])
    });
    let mut named = ends;
    #[expect(clippy::float_cmp, reason = "ends of scales are written, not computed")]
    named.any(|end| end != most)
}

/// The last number of a text.
fn last_number(text: &str) -> Option<f64> {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let read = |text: &str| text.trim_matches('.').parse().ok();
    numbers.filter_map(read).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_named_within_its_clause() {
        for rest in [
            " (out of 10)",
            "** / **10**",
            " points out of 10",
            " (on a scale from 1 to 10)",
            ", on a scale of 1-10",
            " (scale 0-100)",
        ] {
            assert!(is_another(rest, 5.0), "{rest}");
            assert!(
                !is_another(&rest.replace("100", "5").replace("10", "5"), 5.0),
                "{rest}"
            );
        }
        for rest in [
            "",
            " - it complies",
            ", refusal: 0/1",
            ". 1/10 of it",
            "\n/10",
            " | 0/1",
            " and/or",
        ] {
            assert!(!is_another(rest, 5.0), "{rest}");
        }
    }
}
