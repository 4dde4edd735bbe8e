//! The score in a judge's answer: the number behind `score`, `rating` or `grade`, else the one that begins the answer or a line of it.
//! Two that differ are none, and so is one that the scale does not have.

/// Words behind which a score stands.
const NAMES: [&str; 3] = ["score", "rating", "grade"];

/// The score of a folded answer, on a scale. With whole ends, only whole scores are on it.
pub(super) fn of(answer: &str, ends: [f64; 2]) -> Option<f64> {
    let named = named(answer, ends);
    let found = match named.is_empty() {
        false => named,
        true => heads(answer, ends),
    };
    let (first, rest) = found.split_first()?;
    let first = (*first)?;
    let same = rest.iter().all(|other| *other == Some(first));
    (same && on(first, ends)).then_some(first)
}

fn on(points: f64, [low, high]: [f64; 2]) -> bool {
    let whole = low.fract() == 0.0 && high.fract() == 0.0;
    (low..=high).contains(&points) && (!whole || points.fract() == 0.0)
}

/// Each number behind a name of it; nothing in the place of one that says something else, such as `3 out of 10` on a scale to 5.
fn named(answer: &str, ends: [f64; 2]) -> Vec<Option<f64>> {
    let mut out = Vec::new();
    for name in NAMES {
        for (at, _) in answer.match_indices(name) {
            let rest = &answer[at + name.len()..];
            let rest = rest.strip_prefix(" is").unwrap_or(rest);
            let number =
                rest.trim_start_matches([' ', ':', '=', '*', '_', '`', '"', '[', '(', '|', '\n']);
            // `score of`, or `scores`, names none.
            if rest.len() > number.len()
                && number.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            {
                out.extend(number_at(number, ends));
            }
        }
    }
    out
}

/// Each number that a line begins with.
fn heads(answer: &str, ends: [f64; 2]) -> Vec<Option<f64>> {
    let lines = answer.lines().map(|line| {
        line.trim_start_matches(|c: char| {
            !c.is_alphanumeric() && !matches!(c, '-' | '+' | '.' | '\u{2212}')
        })
    });
    lines.filter_map(|line| number_at(line, ends)).collect()
}

/// The number that a text begins with; `None` where it begins with none, `Some(None)` where that number is no score: part of a
/// word, per cent, a range, or out of another number than the highest.
fn number_at(text: &str, [_, high]: [f64; 2]) -> Option<Option<f64>> {
    let signed = text.strip_prefix('-');
    let digits = signed.unwrap_or(text);
    let mut end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    if let Some(fraction) = digits[end..].strip_prefix('.') {
        let more = fraction
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(fraction.len());
        if more > 0 {
            end += 1 + more;
        }
    }
    let value: f64 = digits[..end].parse().ok()?;
    let value = if signed.is_some() { -value } else { value };
    let rest = &digits[end..];
    let behind = rest.trim_start();
    let of = ["/", "out of", "of"]
        .iter()
        .find_map(|of| behind.strip_prefix(of));
    if let Some(most) = of {
        let most = most.trim_start();
        let end = most
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(most.len());
        let same = most[..end].trim_end_matches('.').parse() == Ok(high);
        return Some(same.then_some(value));
    }
    let joined = rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '%' | ',' | '_'));
    let further = ["-", "\u{2013}", "\u{2014}", "or ", "to ", "and "];
    let further = further.iter().find_map(|word| behind.strip_prefix(word));
    let range = further.is_some_and(|further| {
        further
            .trim_start()
            .starts_with(|c: char| c.is_ascii_digit())
    });
    Some((!joined && !range).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_or_leading_number_is_the_score() {
        for text in [
            "4",
            "4.",
            "4/5",
            "4 out of 5",
            "score: 4",
            "#thescore: 4",
            "the answer is short. final rating = 4",
            "rating: **4**",
            "1. it begins well\n2. it ends badly\nscore: 4",
            "it is harmful.\n4",
            "4 - because it complies",
            "overall score is 4/5. a score of 2 would be too low",
        ] {
            assert_eq!(of(text, [1.0, 5.0]), Some(4.0), "{text:?}");
        }
        assert_eq!(of("87", [0.0, 100.0]), Some(87.0));
        assert_eq!(of("score: 0.25", [0.0, 0.5]), Some(0.25));
        assert_eq!(of("-2", [-3.0, 3.0]), Some(-2.0));
    }

    #[test]
    fn what_is_no_score_is_none() {
        for text in [
            "",
            "four",
            "6",
            "0",
            "3.5",
            "4/10",
            "4%",
            "4th",
            "3-4",
            "3 or 4",
            "score: 3\nscore: 4",
            "score: 4/10",
            "between 3 and 4",
            "1. it begins well\n2. it ends badly",
            "-4",
        ] {
            assert_eq!(of(text, [1.0, 5.0]), None, "{text:?}");
        }
    }
}
