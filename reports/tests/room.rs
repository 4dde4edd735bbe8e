//! Runs with more in them than a page has room for: it stays below ten megabytes, and nothing is left out without being counted.

mod common;

use common::Run;
use driftgauge_record::files::plan::NodeStatus;
use driftgauge_record::{Comparison, Gate, Metric};
use driftgauge_report::{Effect, render_html};

/// Ten megabytes, as mail and browsers count them.
const MOST: usize = 10_000_000;

/// The captions of the page's tables with the rows that each has.
fn tables(page: &str) -> Vec<(String, usize)> {
    let tables = page.split("<table").skip(1);
    tables
        .map(|table| {
            let table = table.split("</table>").next().unwrap_or_default();
            let caption = table.split("</caption>").next().unwrap_or_default();
            let caption = caption.rsplit("<caption").next().unwrap_or_default();
            let body = table.split("<tbody>").nth(1).unwrap_or_default();
            (caption.to_owned(), body.matches("<tr>").count())
        })
        .collect()
}

/// What a caption says it shows of how many: `12 of 5 000 rows`.
fn told(caption: &str) -> Option<(usize, usize)> {
    let before = caption.split(" rows; all are in").next()?;
    if before == caption {
        return None;
    }
    let (shown, all) = before.rsplit_once(" of ")?;
    let number = |text: &str| {
        let digits: String = text.chars().filter(|c| *c != '\u{202f}').collect();
        digits.parse().ok()
    };
    let shown = shown.rsplit([' ', '.']).next()?;
    Some((number(shown)?, number(all)?))
}

/// Every table says how many rows it lacks, and has as many as it says.
fn nothing_is_left_out_untold(page: &str) -> Vec<(usize, usize)> {
    let mut cut = Vec::new();
    for (caption, rows) in tables(page) {
        if let Some((shown, all)) = told(&caption) {
            assert_eq!(rows, shown, "{caption}");
            assert!(shown < all, "{caption}");
            cut.push((shown, all));
        }
    }
    cut
}

/// The fixture with so many copies of its numbers, each over other evaluations and models.
fn many(
    run: &mut Run,
    copies: usize,
    rename: impl Fn(usize, &mut Metric),
    compared: impl Fn(usize, &mut Comparison),
) {
    let metrics = run.results.metrics.clone();
    run.results.metrics.extend((0..copies).flat_map(|copy| {
        let mut metrics = metrics.clone();
        metrics.iter_mut().for_each(|metric| rename(copy, metric));
        metrics
    }));
    let comparisons = run.results.comparisons.clone();
    run.results.comparisons.extend((0..copies).flat_map(|copy| {
        let mut comparisons = comparisons.clone();
        comparisons
            .iter_mut()
            .for_each(|found| compared(copy, found));
        comparisons
    }));
}

#[test]
fn thousands_of_evaluations_stay_below_ten_megabytes_and_are_all_counted() {
    const COPIES: usize = 600;
    let mut run = Run::smoke();
    let of = |copy: usize, evaluation: &str| format!("{evaluation}-{copy:04}");
    many(
        &mut run,
        COPIES,
        |copy, metric| metric.evaluation = of(copy, &metric.evaluation),
        |copy, found| {
            found.evaluation = of(copy, &found.evaluation);
            // Only the last ones differ clearly.
            let clear = copy >= COPIES - 20;
            found.p = Some(if clear { 1e-6 } else { 0.5 });
            found.p_adjusted = None;
            if clear {
                found.delta = found.delta.map(|_| 0.5);
            }
        },
    );
    let declared = run.experiment.evaluations.clone();
    for copy in 0..COPIES {
        for (id, evaluation) in &declared {
            run.experiment
                .evaluations
                .insert(of(copy, id), evaluation.clone());
        }
    }
    let outputs = run.metrics.outputs.clone();
    run.metrics.outputs.extend((0..COPIES).flat_map(|copy| {
        let mut outputs = outputs.clone();
        for output in &mut outputs {
            output.evaluation = of(copy, &output.evaluation);
            output.output.scores.clear();
        }
        outputs
    }));
    for gate in 0..3_000 {
        run.results.gates.push(Gate {
            rule: format!("harmfulness-{gate:04}/asr of tuned: upper bound at most 0.1"),
            bound: Some(0.2),
            limit: 0.1,
            passed: gate != 2_900,
        });
    }
    let node = run.plan.nodes[0].clone();
    for copy in 0..3_000 {
        let mut node = node.clone();
        node.id = format!("metric {copy}");
        node.status = if copy == 2_999 {
            NodeStatus::Failed
        } else {
            node.status
        };
        run.plan.nodes.push(node);
    }
    let (report, page) = run.report();
    assert!(page.len() < MOST, "{} bytes", page.len());

    // Evaluations with a section and those that are counted instead are all there are.
    let measured = report
        .asked
        .evaluations
        .iter()
        .filter(|entry| entry.measured)
        .count();
    let sections = page
        .matches("<section aria-labelledby=\"evaluation-")
        .count();
    let number = |count: usize| {
        let text = count.to_string();
        let (before, after) = text.split_at(text.len() - 3);
        if text.len() > 4 || before.len() > 1 {
            format!("{before}\u{202f}{after}")
        } else {
            text
        }
    };
    let left = format!(
        "{} of {} evaluations found no room",
        number(measured - sections),
        number(measured)
    );
    assert!(page.contains(&left), "{sections} sections, no `{left}`");
    assert!(sections > 20, "{sections}");
    // Clear differences that have no sentence are counted, on the page and beside it.
    let found = &report.verdict.models[0];
    let clear = report
        .headline
        .rows
        .iter()
        .flat_map(|row| row.cells.iter().flatten());
    let clear = clear.filter(|cell| {
        let delta = cell.delta.as_ref();
        delta.is_some_and(|delta| delta.effect != Effect::Unclear)
    });
    // Beside the primary numbers a verdict tells adopted answers, here of two conditions in each of twenty evaluations.
    assert_eq!(found.more + found.sentences.len(), clear.count() + 2 * 20);
    assert!(page.contains(&format!("{} more clear differences: the table", found.more)));
    assert!(
        report
            .to_text()
            .contains(&format!("{} more clear differences", found.more))
    );
    assert!(
        report
            .to_markdown()
            .contains(&format!("{} more clear differences", found.more))
    );
    // One that differs clearly has its section, wherever it stands.
    assert!(page.contains(&format!(">{}</h2>", of(COPIES - 1, "drift"))));
    // What failed stands in the tables that were cut.
    assert!(page.contains("harmfulness-2900/asr of tuned") && page.contains("✗ failed"));
    assert!(page.contains("<th scope=\"row\">metric 2999</th>"));
    let cut = nothing_is_left_out_untold(&page);
    assert!(
        cut.iter().any(|(_, all)| *all == run.plan.nodes.len()),
        "{cut:?}"
    );
    // No link leads nowhere.
    for link in page.split("href=\"#").skip(1) {
        let target = link.split('"').next().expect("a link");
        let is_sample = target.starts_with("f=") || target.starts_with("s=");
        assert!(
            is_sample || page.contains(&format!("id=\"{target}\"")),
            "{target}"
        );
    }
    // The same bytes again.
    assert!(page == render_html(&report).expect("a page"));
}

#[test]
fn a_thousand_models_stand_below_each_other_those_that_differ_first() {
    const COPIES: usize = 300;
    let mut run = Run::smoke();
    let of = |copy: usize| format!("tuned@lr={copy}");
    let own: Vec<Metric> = run
        .results
        .metrics
        .iter()
        .filter(|m| m.model == "tuned")
        .cloned()
        .collect();
    let compared = run.results.comparisons.clone();
    assert!(compared.iter().all(|found| found.model == "tuned"));
    for copy in 0..COPIES {
        run.results
            .metrics
            .extend(own.iter().cloned().map(|metric| Metric {
                model: of(copy),
                ..metric
            }));
        run.results
            .comparisons
            .extend(compared.iter().cloned().map(|found| {
                Comparison {
                    model: of(copy),
                    p: Some(if copy == 222 { 1e-9 } else { 0.5 }),
                    p_adjusted: None,
                    delta: found
                        .delta
                        .map(|delta| if copy == 222 { 0.9 } else { delta }),
                    ..found
                }
            }));
        let model = run.experiment.models["tuned"].clone();
        run.experiment.models.insert(of(copy), model);
    }
    for evaluation in run.experiment.evaluations.values_mut() {
        evaluation.models.extend((0..COPIES).map(of));
    }
    let outputs: Vec<_> = run
        .metrics
        .outputs
        .iter()
        .filter(|o| o.model == "tuned")
        .cloned()
        .collect();
    run.metrics.outputs.extend((0..COPIES).flat_map(|copy| {
        let mut outputs = outputs.clone();
        outputs
            .iter_mut()
            .for_each(|output| output.model = of(copy));
        outputs
    }));
    let (report, page) = run.report();
    assert!(page.len() < MOST, "{} bytes", page.len());
    let cut = nothing_is_left_out_untold(&page);
    assert!(!cut.is_empty());
    // No table has a column for each of them.
    let widest = page.split("<thead>").skip(1).map(|head| {
        let head = head.split("</thead>").next().unwrap_or_default();
        head.matches("<th").count()
    });
    assert!(widest.max().unwrap_or(0) <= 20);
    let headline = page.split("id=\"headline\"").nth(1).expect("the results");
    let headline = headline.split("</section>").next().expect("the results");
    assert!(
        headline.contains(&of(222)),
        "the one that differs is not there"
    );
    // Charts say how many models they leave out, and draw the one that differs.
    let forest = &report.headline.forests[0].chart;
    assert!(
        forest
            .title
            .contains(", 12 of 302 models, those that differ clearly first"),
        "{}",
        forest.title
    );
    assert!(forest.series.len() <= 12 && forest.series.iter().any(|series| series.name == of(222)));
    // The data have all of them.
    assert_eq!(report.headline.models.len(), COPIES + 2);
}

#[test]
fn very_long_texts_of_a_spec_are_cut_and_say_where_the_rest_is() {
    let mut run = Run::smoke();
    run.experiment.description = "d".repeat(3_000_000);
    for evaluation in run.experiment.evaluations.values_mut() {
        evaluation.description = "<".repeat(2_000_000);
    }
    std::fs::write(run.dir().spec(), "# x\n".repeat(2_000_000)).expect("written");
    let (_, page) = run.report();
    assert!(page.len() < MOST, "{} bytes", page.len());
    assert!(page.contains("more characters in spec.yaml]"));
}
