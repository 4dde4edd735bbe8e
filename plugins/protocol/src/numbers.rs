//! Which numbers a metric may return, as its manifest lists them: what a spec asks for is then found missing before a run.

use serde_json::Value;

use crate::wire::Manifest;

/// Stands for the id of each judge in [`Manifest::numbers`].
pub const JUDGE: &str = "{judge}";

impl Manifest {
    /// The manifest of a metric with this configuration: in the ids of its numbers, the name of a configuration's key in braces
    /// becomes the key's value, or its default.
    #[must_use]
    pub fn configured(mut self, config: &Value) -> Self {
        let Some(keys) = self.config_schema["properties"].as_object() else {
            return self;
        };
        for (key, property) in keys {
            let value = match &config[key] {
                Value::Null => &property["default"],
                value => value,
            };
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let ranges = self.ranges.iter_mut().flat_map(|range| &mut range.numbers);
            let ids = self.numbers.iter_mut().chain(ranges).chain(&mut self.main);
            for id in ids.filter(|id| *id != JUDGE) {
                *id = id.replace(&format!("{{{key}}}"), &value);
            }
        }
        self
    }

    /// Whether the metric may return a number called `id`, which may end in a `*` that stands for anything. True where the
    /// manifest lists nothing. Without `judges`, any word may be a judge's id.
    #[must_use]
    pub fn may_return(&self, id: &str, judges: Option<&[&str]>) -> bool {
        self.numbers.is_empty()
            || self
                .numbers
                .iter()
                .any(|listed| match (listed.as_str(), judges) {
                    (JUDGE, None) => true,
                    (JUDGE, Some(judges)) => judges.iter().any(|judge| overlap(judge, id)),
                    (listed, _) => overlap(listed, id),
                })
    }
    /// What a number may be, the main one where there is no id: least and most. `None` where the manifest does not say.
    #[must_use]
    pub fn range_of(&self, id: Option<&str>) -> Option<(f64, f64)> {
        let id = id.or(self.main.as_deref());
        let names = |listed: &String| id.is_some_and(|id| overlap(listed, id));
        let range = self
            .ranges
            .iter()
            .find(|range| range.numbers.is_empty() || range.numbers.iter().any(names))?;
        Some((
            range.low.unwrap_or(f64::NEG_INFINITY),
            range.high.unwrap_or(f64::INFINITY),
        ))
    }
}

/// Whether two ids, either of which may end in a `*`, can be the same.
fn overlap(listed: &str, wanted: &str) -> bool {
    match (listed.strip_suffix('*'), wanted.strip_suffix('*')) {
        (None, None) => listed == wanted,
        (Some(start), None) => wanted.len() > start.len() && wanted.starts_with(start),
        (None, Some(start)) => listed.starts_with(start),
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listed_numbers_open_ends_and_judges() {
        let manifest = Manifest::new("m", "1", "M").returns(["rate", "category.*", JUDGE]);
        for (id, known) in [
            ("rate", true),
            ("rat", false),
            ("category.a.b", true),
            ("category.", false),
            ("categry.a", false),
            ("guard", true),
            ("guardian", false),
            ("cat*", true),
            ("category.a*", true),
            ("gu*", true),
            ("x*", false),
        ] {
            assert_eq!(manifest.may_return(id, Some(&["guard"])), known, "{id}");
        }
        assert!(manifest.may_return("whoever", None));
        assert!(Manifest::new("m", "1", "M").may_return("anything", Some(&[])));
    }

    #[test]
    fn the_first_range_that_names_a_number_is_its_own() {
        let mut manifest = Manifest::new("m", "1", "M")
            .within(&["kappa.*"], Some(-1.0), Some(1.0))
            .within(&["count", "top{k}"], Some(0.0), None)
            .within(&[], Some(0.0), Some(1.0));
        manifest.config_schema = json!({"properties": {"k": {"default": 10}, "main": {}}});
        let manifest = manifest
            .stands_for("{main}")
            .configured(&json!({"main": "top10"}));
        assert_eq!(manifest.range_of(Some("kappa.a")), Some((-1.0, 1.0)));
        assert_eq!(manifest.range_of(Some("count")), Some((0.0, f64::INFINITY)));
        assert_eq!(manifest.range_of(Some("rate")), Some((0.0, 1.0)));
        assert_eq!(manifest.range_of(None), Some((0.0, f64::INFINITY)));
        assert_eq!(Manifest::new("m", "1", "M").range_of(None), None);
    }

    #[test]
    fn ids_take_on_the_configuration() {
        let mut manifest =
            Manifest::new("m", "1", "M").returns(["top{k}_entropy", "{side}*", JUDGE]);
        manifest.config_schema =
            json!({"properties": {"k": {"default": 10}, "side": {}, "judge": {}}});
        let with = |config: Value| manifest.clone().configured(&config).numbers;
        assert_eq!(
            with(json!({"k": 5, "side": "left"})),
            ["top5_entropy", "left*", JUDGE]
        );
        assert_eq!(with(json!({"side": "left"}))[0], "top10_entropy");
        assert_eq!(with(Value::Null)[0], "top10_entropy");
    }
}
