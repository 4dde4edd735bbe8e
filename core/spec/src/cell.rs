//! Names of cells: `tuned@lr=1.0e-5,seed=1` is the entry `tuned` at `lr` 1.0e-5 and `seed` 1.

/// The axis of replicates: cells that differ in it alone are trainings of one recipe.
pub const SEED: &str = "seed";

/// Axes and values of a cell, in the order of its name; none of what is no cell.
pub fn coordinates(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let coordinates = name.split_once('@').map_or("", |(_, behind)| behind);
    coordinates
        .split(',')
        .filter_map(|pair| pair.split_once('='))
}

/// The value of an axis, as the spec says it.
#[must_use]
pub fn label<'a>(name: &'a str, axis: &str) -> Option<&'a str> {
    let mut found = coordinates(name).filter(|(own, _)| *own == axis);
    found.next().map(|(_, label)| label)
}

/// The name without some of its axes.
#[must_use]
pub fn without(name: &str, leave_out: impl Fn(&str) -> bool) -> String {
    let family = name.split('@').next().unwrap_or(name);
    let kept: Vec<String> = coordinates(name)
        .filter(|(axis, _)| !leave_out(axis))
        .map(|(axis, label)| format!("{axis}={label}"))
        .collect();
    match kept.is_empty() {
        true => family.to_owned(),
        false => format!("{family}@{}", kept.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = "tuned@lr=1.0e-5,step=25,seed=1";
        assert_eq!(label(name, "step"), Some("25"));
        assert_eq!(label(name, "rank"), None);
        assert_eq!(
            without(name, |axis| axis == SEED || axis == "step"),
            "tuned@lr=1.0e-5"
        );
        assert_eq!(without("tuned@seed=1", |axis| axis == SEED), "tuned");
        assert_eq!(without("base", |axis| axis == SEED), "base");
    }
}
