//! Ids of elements, which name files of charts and links to samples as well: readable, and no two things share one.

/// Longest id: file systems take 255 bytes, and a chart's file adds an ending.
const LONGEST: usize = 120;

/// The id of what the parts name, for example an evaluation and a metric of it. Two lists of parts never give the same id.
///
/// Lower-case letters, digits and dashes stand for themselves; `_` and a letter for that letter in upper case (file systems that
/// do not tell cases apart keep them apart), `__` for an underscore, `_` with a number and `_` for any other character. Parts
/// are joined by dots, which nothing else gives.
pub(crate) fn anchor(parts: &[&str]) -> String {
    let encoded: Vec<String> = parts.iter().map(|part| encoded(part)).collect();
    let id = encoded.join(".");
    if id.len() <= LONGEST {
        return id;
    }
    // Nothing else holds a tilde. The digest is of the whole, so that what is cut off still counts.
    let digest = blake3::hash(id.as_bytes()).to_hex();
    format!("{}~{}", &id[..LONGEST - 33], &digest[..32])
}

fn encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for c in part.chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' => out.push(c),
            'A'..='Z' => out.extend(['_', c.to_ascii_lowercase()]),
            '_' => out.push_str("__"),
            other => out.push_str(&format!("_{}_", other as u32)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_share_an_id() {
        let names = [
            "ask_1", "ask-1", "ask1", "Ask-1", "ask 1", "ask.1", "ask__1", "ask_-1", "ask-_1", "",
            "é", "../x", "ask_49_", "ask149", "a\"b",
        ];
        let mut seen = std::collections::HashMap::new();
        for a in names {
            for b in names {
                for parts in [vec![a, b], vec![a], vec![a, b, "values"]] {
                    let id = anchor(&parts);
                    assert!(
                        id.bytes().all(|byte| byte.is_ascii_lowercase()
                            || byte.is_ascii_digit()
                            || b"-_.~".contains(&byte)),
                        "{id}"
                    );
                    if let Some(other) = seen.insert(id.clone(), parts.clone()) {
                        assert_eq!(other, parts, "{id}");
                    }
                }
            }
        }
        assert_eq!(anchor(&["drift", "accuracy"]), "drift.accuracy");
        assert_eq!(anchor(&["ask_1", "Q"]), "ask__1._q");
    }

    #[test]
    fn a_long_name_makes_a_short_id_that_is_still_its_own() {
        let long = "a".repeat(300);
        let (one, other) = (anchor(&[&long, "x"]), anchor(&[&long, "y"]));
        assert!(one.len() <= LONGEST && one != other);
    }
}
