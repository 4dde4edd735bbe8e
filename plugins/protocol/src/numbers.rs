//! Which numbers a metric may return, as its manifest lists them: what a spec asks for is then found missing before a run.

use serde_json::Value;

use crate::wire::Manifest;

/// The key of a configuration that says how often intervals are drawn.
const RESAMPLES: &str = "resamples";

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
            let place = format!("{{{key}}}");
            let ids = self.numbers.iter_mut().chain(&mut self.main);
            let ids = ids.chain(&mut self.drawn);
            for id in ids.filter(|id| *id != JUDGE) {
                *id = id.replace(&place, &value);
            }
            self.ranges = std::mem::take(&mut self.ranges)
                .into_iter()
                .map(|(id, range)| (id.replace(&place, &value), range))
                .collect();
            self.reads = std::mem::take(&mut self.reads)
                .into_iter()
                .map(|(id, fields)| (id.replace(&place, &value), fields))
                .collect();
        }
        if let Some(chosen) = self.chosen(config) {
            if let Some(main) = self.main.as_mut().filter(|main| !chosen.contains(main)) {
                main.clone_from(&chosen[0]);
            }
            self.numbers = chosen;
        }
        self
    }

    /// The numbers that a configuration asks for, in its order; `None` where it does not say: then all are returned.
    #[must_use]
    pub fn chosen(&self, config: &Value) -> Option<Vec<String>> {
        let list = config[self.chosen_by.as_ref()?].as_array()?;
        let ids = list.iter().filter_map(Value::as_str).map(str::to_owned);
        Some(ids.collect()).filter(|ids: &Vec<String>| !ids.is_empty())
    }

    /// Whether the number that a spec names has no interval with this configuration, since none is drawn; of the one that stands for the
    /// metric where it names none.
    #[must_use]
    pub fn is_undrawn(&self, id: Option<&str>, config: &Value) -> bool {
        let id = id.or(self.main.as_deref());
        let is_drawn = |id| self.drawn.iter().any(|known| overlap(known, id));
        config[RESAMPLES] == 0 && id.is_some_and(is_drawn)
    }

    /// The range that the manifest states for the number called `id`: the one with the longest matching id.
    #[must_use]
    pub fn range_of(&self, id: &str) -> Option<[f64; 2]> {
        let fits = self.ranges.iter().filter(|(known, _)| overlap(known, id));
        fits.max_by_key(|(known, _)| known.len())
            .map(|(_, range)| *range)
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

    /// The range of a number that a spec names, or of the one that stands for the metric where it names none: the one that
    /// [`Manifest::main`] says, or else the one for all numbers.
    #[must_use]
    pub fn range_of_named(&self, id: Option<&str>) -> Option<[f64; 2]> {
        match id.or(self.main.as_deref()) {
            Some(id) => self.range_of(id),
            None => self.ranges.get("*").copied(),
        }
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
    use crate::wire::UNBOUNDED;

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
    fn the_longest_id_that_fits_says_the_range() {
        let mut manifest = Manifest::new("m", "1", "M")
            .range("*", 0.0, 1.0)
            .range("kappa.*", -1.0, 1.0)
            .range("top{k}", 0.0, UNBOUNDED);
        let named = |manifest: &Manifest, id: Option<&str>| manifest.range_of_named(id);
        assert_eq!(named(&manifest, None), Some([0.0, 1.0]));
        manifest.config_schema = json!({"properties": {"k": {"default": 10}, "main": {}}});
        let manifest = manifest
            .stands_for("{main}")
            .configured(&json!({"main": "top10"}));
        assert_eq!(named(&manifest, Some("kappa.a")), Some([-1.0, 1.0]));
        assert_eq!(named(&manifest, Some("top10")), Some([0.0, UNBOUNDED]));
        assert_eq!(named(&manifest, Some("rate")), Some([0.0, 1.0]));
        assert_eq!(named(&manifest, None), Some([0.0, UNBOUNDED]));
        assert_eq!(named(&Manifest::new("m", "1", "M"), None), None);
    }

    #[test]
    fn numbers_that_are_drawn_have_no_interval_without_resamples() {
        let mut manifest = Manifest::new("m", "1", "M")
            .stands_for("{main}")
            .draws(&["error*", "{main}"]);
        manifest.config_schema = json!({"properties": {"main": {"default": "risk"}}});
        let undrawn =
            |id, config: &Value| manifest.clone().configured(config).is_undrawn(id, config);
        let none = json!({"resamples": 0});
        assert!(undrawn(Some("error10"), &none) && undrawn(None, &none));
        assert!(undrawn(Some("risk"), &none) && !undrawn(Some("rate"), &none));
        for some in [
            json!({}),
            json!({"resamples": 1}),
            json!({"resamples": null}),
        ] {
            assert!(!undrawn(Some("error10"), &some), "{some}");
        }
    }

    #[test]
    fn numbers_that_are_asked_for_are_all_there_are() {
        let mut manifest = Manifest::new("m", "1", "M")
            .returns(["top{k}", "rate", "loss", "kappa.*"])
            .range("rate", 0.0, 1.0)
            .stands_for("{main}")
            .chosen_by("wanted");
        manifest.config_schema =
            json!({"properties": {"k": {"default": 10}, "main": {}, "wanted": {}}});
        let told = |manifest: &Manifest, config: Value| {
            let manifest = manifest.clone().configured(&config);
            (manifest.main.unwrap_or_default(), manifest.numbers)
        };
        let with = |config: Value| told(&manifest, config);
        let asked = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        let few = with(json!({"wanted": ["rate", "top10"]}));
        assert_eq!(few, ("rate".to_owned(), asked(&["rate", "top10"])));
        let few = with(json!({"wanted": ["rate", "loss"], "main": "loss"}));
        assert_eq!(few, ("loss".to_owned(), asked(&["rate", "loss"])));
        for all in [
            json!({}),
            json!({"wanted": null}),
            json!({"wanted": []}),
            Value::Null,
        ] {
            assert_eq!(with(all).1, asked(&["top10", "rate", "loss", "kappa.*"]));
        }
        let open = manifest.clone().configured(&json!({"wanted": ["kappa.*"]}));
        let may = |id: &str| open.may_return(id, Some(&[]));
        assert_eq!((may("kappa.a"), may("rate")), (true, false));
        // Without a number that stands for the metric none begins to.
        manifest.main = None;
        let few = told(&manifest, json!({"wanted": ["rate"]}));
        assert_eq!(few, (String::new(), asked(&["rate"])));
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
