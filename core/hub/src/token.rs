//! The token of the hub, looked for where its own tools look.

use std::path::PathBuf;

/// The token, from the first place that has one.
pub(crate) fn from_env() -> Option<String> {
    find(
        &|name| std::env::var(name).ok(),
        driftgauge_data::hub::home(),
    )
}

fn find(variable: &dyn Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Option<String> {
    let clean = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let direct = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
        .into_iter()
        .find_map(|name| clean(variable(name)?));
    if direct.is_some() {
        return direct;
    }
    let named = variable("HF_TOKEN_PATH").map(PathBuf::from);
    let path = named.or_else(|| home.map(|home| home.join("token")))?;
    clean(std::fs::read_to_string(path).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_with_a_token_counts() {
        let of = |set: &'static [(&'static str, &'static str)]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            find(&variable, Some("/no/such/home".into()))
        };
        assert_eq!(
            of(&[("HF_TOKEN", " a\n"), ("HUGGING_FACE_HUB_TOKEN", "b")]),
            Some("a".to_owned())
        );
        assert_eq!(
            of(&[("HF_TOKEN", ""), ("HUGGING_FACE_HUB_TOKEN", "b")]),
            Some("b".to_owned())
        );
        assert_eq!(of(&[]), None);
    }
}
