//! Command lines of a profile with places to fill: `qsub -N {name} {script}`.

use driftgauge_problem::Problem;

use crate::call::quoted;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(String),
}

/// A line for the shell whose places were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    /// Reads a template. `{word}` is a place, `{{` and `}}` are braces; other braces, and `${word}`, are the shell's.
    pub(crate) fn read(key: &str, text: &str, places: &[&str]) -> Result<Self, Problem> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(behind) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                plain.push(c);
                rest = behind;
                continue;
            }
            let place = place_at(rest).filter(|_| !plain.ends_with('$'));
            let Some(place) = place else {
                plain.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            };
            if !places.contains(&place) {
                let known: Vec<String> = places
                    .iter()
                    .map(|known| format!("`{{{known}}}`"))
                    .collect();
                let message = format!("`{key}` has no place `{{{place}}}`");
                let help = format!(
                    "its places are {}; a brace that stands for itself is written twice",
                    known.join(", ")
                );
                return Err(Problem::new("no-such-place", message).help(help).of_input());
            }
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Place(place.to_owned()));
            rest = &rest[place.len() + 2..];
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// Whether a place is used.
    pub(crate) fn has(&self, place: &str) -> bool {
        let mut parts = self.0.iter();
        parts.any(|part| matches!(part, Part::Place(used) if used == place))
    }

    /// The line, with every value quoted for the shell, so that none is more than one word.
    pub(crate) fn fill(&self, values: &[(&str, Vec<String>)]) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(place) => {
                let value = values.iter().find(|(name, _)| name == place);
                let words = value.map_or(&[][..], |(_, words)| words).iter();
                words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
            }
        });
        parts.collect()
    }
}

/// The word of a place that begins here.
fn place_at(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let word = &inner[..inner.find('}')?];
    let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_word.then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_braces_of_the_shell_stay() {
        let text = "q -N {name} {script} | awk '{print $1}' ${name} {{name}}";
        let template = Template::read("submit", text, &["name", "script"]).unwrap();
        let values = [
            ("name", vec!["a b".to_owned()]),
            ("script", vec!["it's".to_owned()]),
        ];
        assert_eq!(
            template.fill(&values),
            r"q -N 'a b' 'it'\''s' | awk '{print $1}' ${name} {name}"
        );
        assert!(template.has("name") && !template.has("id"));
    }

    #[test]
    fn a_place_that_does_not_exist_is_refused_by_name() {
        let error = Template::read("cancel", "qdel {jobid}", &["id"]).unwrap_err();
        assert_eq!(error.message, "`cancel` has no place `{jobid}`");
    }
}
