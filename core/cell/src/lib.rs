//! Names of cells: `tuned@lr=1.0e-5,seed=1` is the entry `tuned` at `lr` 1.0e-5 and `seed` 1.

/// The axis of replicates: cells that differ in it alone are trainings of one recipe.
pub const SEED: &str = "seed";

/// The entry that a cell belongs to; what is no cell is its own.
#[must_use]
pub fn family(name: &str) -> &str {
    name.split_once('@').map_or(name, |(family, _)| family)
}

/// Axes and values of a cell, in the order of its name; none of what is no cell.
pub fn coordinates(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let coordinates = name.split_once('@').map_or("", |(_, behind)| behind);
    coordinates
        .split(',')
        .filter_map(|pair| pair.split_once('='))
}

/// The name of the cell of an entry at some coordinates; the entry's own name where there are none.
pub fn named<'a>(family: &str, coordinates: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = coordinates
        .map(|(axis, label)| format!("{axis}={label}"))
        .collect();
    match pairs.is_empty() {
        true => family.to_owned(),
        false => format!("{family}@{}", pairs.join(",")),
    }
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
    named(
        family(name),
        coordinates(name).filter(|(axis, _)| !leave_out(axis)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = "tuned@lr=1.0e-5,step=25,seed=1";
        assert_eq!(family(name), "tuned");
        assert_eq!((family("base"), coordinates("base").count()), ("base", 0));
        assert_eq!(named(family(name), coordinates(name)), name);
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
