use driftgauge_plugin_sdk::wire::SampleIds;

use super::*;

#[test]
fn several_completions_average_to_their_prompt() {
    let mut prompts = Prompts::default();
    let mut column = Column::default();
    for (id, score) in [
        ("b", Some(1.0)),
        ("a", None),
        ("b", Some(0.0)),
        ("c", Some(1.0)),
    ] {
        column.add(prompts.row(id), score);
    }
    let mut all = Vec::new();
    column.add_scores("asr", "default", &prompts, &mut all);
    column.add_scores("twin", "default", &prompts, &mut all);
    assert!(all[0].sample_ids.are_shared(&all[1].sample_ids));
    let scores = &all[0];
    assert_eq!(scores.sample_ids, SampleIds::from_iter(["b", "a", "c"]));
    assert_eq!(scores.values, [Some(0.5), None, Some(1.0)]);
    assert_eq!(scores.kind, ScoreKind::Real);
    assert_eq!((column.total(), column.repeats()), (3, true));
    let filled = column.with_missing_as(1.0);
    assert_eq!(filled.means().collect::<Vec<_>>(), [0.5, 1.0, 1.0]);
    assert_eq!(filled.total(), 4);
    let part = column.filtered(|row| row != 0);
    assert_eq!((part.mean(0), part.mean(2)), (None, Some(1.0)));
    assert_eq!(part.rows().collect::<Vec<_>>(), [1, 2]);
    part.add_scores("part", "default", &prompts, &mut all);
    assert!(all[2].sample_ids.share_a_list(&all[1].sample_ids));
    assert_eq!(all[2].sample_ids, SampleIds::from_iter(["a", "c"]));
    assert_eq!(all[2].values, [None, Some(1.0)]);
}

#[test]
fn shares_and_what_is_not_known_after_all() {
    let shares = Column::shares(&[1, 0, 2], &[2, 1, 2, 4]);
    assert_eq!(shares.means().collect::<Vec<_>>(), [0.5, 0.0, 1.0, 0.0]);
    assert_eq!((shares.total(), shares.count(3)), (9, 4));
    let mut verdicts = Column::default();
    for (row, score) in [(0, Some(1.0)), (0, Some(0.0)), (1, Some(0.0)), (1, None)] {
        verdicts.add(row, score);
    }
    let (mut hits, mut others) = (verdicts.clone(), verdicts);
    hits.retract(0.0);
    others.retract(1.0);
    assert_eq!([0, 1].map(|row| hits.mean(row)), [Some(1.0), None]);
    assert_eq!([0, 1].map(|row| others.mean(row)), [Some(0.0), Some(0.0)]);
    assert_eq!(hits.with_missing_as(0.0).mean(0), Some(0.5));
}

#[test]
fn prompts_are_numbered_by_the_harness_or_here() {
    let mut prompts = Prompts::default();
    assert!(prompts.is_empty());
    for (number, id, row) in [
        (0, "a", Some(0)),
        (1, "b", Some(1)),
        (0, "other", Some(0)),
        (4, "far", None),
    ] {
        assert_eq!(prompts.told(number, || Ok(id)).unwrap(), row, "{id}");
    }
    let known = |prompts: &Prompts| {
        let found = ["a", "b", "c"].map(|id| prompts.find(id));
        let ids = [0, 1, 2].map(|row| prompts.id(row).to_owned());
        (found, ids, prompts.len(), prompts.is_empty())
    };
    let ids = ["a", "b", ""].map(str::to_owned);
    assert_eq!(known(&prompts), ([Some(0), Some(1), None], ids, 2, false));
    // An id without a number: from now on all of them are looked up, and those that were told keep their rows.
    assert_eq!((prompts.row("c"), prompts.row("b")), (2, 1));
    let ids = ["a", "b", "c"].map(str::to_owned);
    let found = [Some(0), Some(1), Some(2)];
    assert_eq!(known(&prompts), (found, ids, 3, false));
    assert_eq!(prompts.told(0, || Ok("a")).unwrap(), None);
}

#[test]
fn conditions_keep_the_order_in_which_they_came() {
    let mut conditions: Conditions<u32> = Conditions::default();
    assert!(conditions.is_empty() && conditions.first().is_none());
    for (name, place, seen) in [("b", 0, 1), ("a", 1, 1), ("b", 0, 2)] {
        let (found, value) = conditions.entry(name);
        *value += 1;
        assert_eq!((found, *value), (place, seen), "{name}");
    }
    assert_eq!((conditions.len(), conditions.is_empty()), (2, false));
    assert_eq!(conditions.first(), Some("b"));
    assert_eq!(
        [0, 1, 2].map(|place| conditions.name(place)),
        ["b", "a", ""]
    );
    conditions.values_mut().for_each(|value| *value *= 10);
    assert_eq!(
        conditions.iter().collect::<Vec<_>>(),
        [("b", &20), ("a", &10)]
    );
    assert_eq!(
        (conditions.get("a"), conditions.get("c")),
        (Some(&10), None)
    );
}

#[test]
fn parts_of_a_column_keep_their_rows() {
    let mut column = Column::default();
    for (row, score) in [
        (0, Some(1.0)),
        (2, Some(0.0)),
        (2, Some(1.0)),
        (3, None),
        (5, Some(0.25)),
    ] {
        column.add(row, score);
    }
    let counts = [0, 1, 2, 3, 5, 9].map(|row| column.count(row));
    assert_eq!(counts, [1, 0, 2, 0, 1, 0]);
    assert_eq!((column.total(), column.repeats()), (4, true));
    assert_eq!(column.rows().collect::<Vec<_>>(), [0, 2, 3, 5]);
    // What lies between two rows was never asked, and neither was what is left out.
    let part = column.filtered(|row| row > 2);
    assert_eq!(part.rows().collect::<Vec<_>>(), [3, 5]);
    let means = [0, 2, 3, 4, 5].map(|row| part.mean(row));
    assert_eq!(means, [None, None, None, None, Some(0.25)]);
    assert_eq!((part.count(5), part.total(), part.repeats()), (1, 1, false));
    let filled = part.with_missing_as(0.5);
    assert_eq!([3, 5].map(|row| filled.mean(row)), [Some(0.5), Some(0.25)]);
    assert_eq!(filled.rows().collect::<Vec<_>>(), [3, 5]);
    // Asked and not scored, twice and not at all.
    let asked = Column::asked(&[2, 0, 1]);
    assert_eq!((asked.total(), asked.mean(0)), (0, None));
    assert_eq!(asked.rows().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(asked.with_missing_as(1.0).total(), 3);
    let kinds = |column: &Column| {
        let mut scores = Vec::new();
        let mut prompts = Prompts::default();
        for id in ["a", "b", "c", "d", "e", "f"] {
            prompts.row(id);
        }
        column.add_scores("x", "c", &prompts, &mut scores);
        scores[0].kind
    };
    assert_eq!(kinds(&column), ScoreKind::Real);
    let binary = column.filtered(|row| row == 0 || row == 3);
    assert_eq!(kinds(&binary), ScoreKind::Binary);
}

#[test]
fn rows_are_shared_by_conditions() {
    let mut conditions: Conditions<Column> = Conditions::default();
    let mut prompts = Prompts::default();
    conditions.entry("plain").1.add(prompts.row("a"), Some(1.0));
    conditions.entry("false").1.add(prompts.row("b"), Some(0.0));
    conditions.entry("false").1.add(prompts.row("a"), Some(0.0));
    assert_eq!(conditions.names().collect::<Vec<_>>(), ["plain", "false"]);
    let later = conditions.get("false").unwrap();
    let mut scores = Vec::new();
    later.add_scores("x", "false", &prompts, &mut scores);
    assert_eq!(scores[0].sample_ids, SampleIds::from_iter(["a", "b"]));
    assert_eq!(conditions.get("plain").unwrap().mean(1), None);
}
