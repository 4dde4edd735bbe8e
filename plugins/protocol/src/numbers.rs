//! Which numbers a metric may return, as its manifest lists them: what a spec asks for is then found missing before a run.

use crate::wire::Manifest;

/// Stands for the id of each judge in [`Manifest::numbers`].
pub const JUDGE: &str = "{judge}";

impl Manifest {
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
            ("*", true),
        ] {
            assert_eq!(manifest.may_return(id, Some(&["guard"])), known, "{id}");
        }
        assert!(manifest.may_return("whoever", None));
        assert!(Manifest::new("m", "1", "M").may_return("anything", Some(&[])));
    }
}
