//! Kinds of faults that reports had: each has a test that would have found it.

mod common;

use common::Run;
use driftgauge_plugin_protocol::wire::{
    Axis, ChartKind, ChartSpec, Point, Scalar, ScoreKind, Scores, Series,
};
use driftgauge_record::files::provenance::ProvenanceRecord;
use driftgauge_record::files::resolved::SampleMode;
use driftgauge_record::{Verdict, VerdictLabel};
use driftgauge_report::render_html;

/// The fixture with a second evaluation, `to`, that is a copy of `from`.
fn twice(from: &str, to: &str) -> Run {
    let mut run = Run::smoke();
    let copy = run.experiment.evaluations[from].clone();
    run.experiment.evaluations.insert(to.to_owned(), copy);
    let metrics: Vec<_> = run
        .results
        .metrics
        .iter()
        .filter(|m| m.evaluation == from)
        .cloned()
        .collect();
    run.results
        .metrics
        .extend(metrics.into_iter().map(|mut metric| {
            metric.evaluation = to.to_owned();
            metric.value = metric.value.map(|value| value * 0.5 + 0.25);
            metric
        }));
    let outputs: Vec<_> = run
        .metrics
        .outputs
        .iter()
        .filter(|o| o.evaluation == from)
        .cloned()
        .collect();
    run.metrics
        .outputs
        .extend(outputs.into_iter().map(|mut output| {
            output.evaluation = to.to_owned();
            output
        }));
    run
}

#[test]
fn evaluations_whose_names_differ_in_a_sign_keep_their_own_charts() {
    // `drift` is renamed to `ask_1`, its copy is `ask-1`, and another one is `Ask-1`.
    let mut run = twice("drift", "ask-1");
    let again = twice("drift", "Ask-1");
    run.results.metrics.extend(
        again
            .results
            .metrics
            .into_iter()
            .filter(|m| m.evaluation == "Ask-1"),
    );
    run.metrics.outputs.extend(
        again
            .metrics
            .outputs
            .into_iter()
            .filter(|o| o.evaluation == "Ask-1"),
    );
    run.experiment.evaluations.insert(
        "Ask-1".to_owned(),
        again.experiment.evaluations["Ask-1"].clone(),
    );
    let (report, page) = run.report();
    let charts = |evaluation: &str| -> Vec<String> {
        let sections = report
            .sections
            .iter()
            .filter(|section| section.evaluation == evaluation);
        sections
            .flat_map(|section| &section.figures)
            .map(|figure| figure.id.clone())
            .collect()
    };
    assert!(!charts("drift").is_empty());
    assert_eq!(charts("ask-1").len(), charts("Ask-1").len());
    let ids: Vec<String> = report.figures().map(|figure| figure.id.clone()).collect();
    let folded: std::collections::HashSet<String> =
        ids.iter().map(|id| id.to_lowercase()).collect();
    assert_eq!(folded.len(), ids.len(), "two charts share a file");
    for id in &ids {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    let folder = run.save();
    driftgauge_report::write_report(&folder).expect("a report");
    let files = std::fs::read_dir(folder.charts()).expect("charts").count();
    assert_eq!(files, ids.len());
}

#[test]
fn two_parts_with_one_id_are_no_page() {
    let (mut report, _) = Run::smoke().report();
    let again = report.sections[0].clone();
    let id = again.id.clone();
    report.sections.push(again);
    let error = render_html(&report).expect_err("two sections with one id");
    assert_eq!(
        error.to_string(),
        format!("two parts of the report have the id `{id}`")
    );
}

#[test]
fn every_link_within_the_page_leads_somewhere() {
    let (_, page) = twice("drift", "ask_1 (ü)").report();
    for link in page.split("href=\"#").skip(1) {
        let target = link.split('"').next().expect("a link");
        if target.starts_with("f=") || target.starts_with("s=") {
            continue;
        }
        assert_eq!(
            page.matches(&format!("id=\"{target}\"")).count(),
            1,
            "{target}"
        );
    }
}

#[test]
fn flips_are_counted_metric_by_metric() {
    let mut run = Run::smoke();
    let ids: Vec<String> = run
        .samples("drift")
        .iter()
        .filter(|s| s.condition == "plain" && s.model == "base")
        .map(|s| s.sample_id.clone())
        .collect();
    assert_eq!(ids.len(), 10);
    for output in run
        .metrics
        .outputs
        .iter_mut()
        .filter(|output| output.evaluation == "drift")
    {
        output.output.scores.clear();
        if output.metric != "truthfulness" {
            continue;
        }
        // The first metric is the same for both models, the second differs on nine of ten prompts.
        let tuned = output.model == "tuned";
        for (id, values) in [
            ("same", vec![Some(1.0); 10]),
            (
                "other",
                (0..10)
                    .map(|i| Some(f64::from(u8::from(tuned && i != 3))))
                    .collect(),
            ),
        ] {
            let mut scalar = Scalar::new(id, id, "plain").value(0.5, 10);
            scalar.primary = id == "same";
            output.output.scalars.push(scalar);
            output.output.scores.push(Scores {
                id: id.to_owned(),
                condition: "plain".to_owned(),
                kind: ScoreKind::Binary,
                sample_ids: ids.iter().collect(),
                values: values.into(),
            });
        }
    }
    let (report, page) = run.report();
    let section = report
        .samples
        .iter()
        .find(|section| section.evaluation == "drift")
        .expect("samples");
    assert_eq!(section.differing, 9);
    let flips: Vec<_> = section
        .flips
        .iter()
        .map(|flip| {
            (
                section.metrics[flip.metric].metric.as_str(),
                flip.baseline_only,
                flip.model_only,
                flip.pairs,
            )
        })
        .collect();
    assert_eq!(
        flips,
        [("truthfulness", 0, 0, 10), ("truthfulness.other", 0, 9, 10)]
    );
    let links = page.replace("&#x2f;", "/");
    assert!(links.contains("#f=drift/truthfulness.other/plain/tuned/model"));
}

#[test]
fn rows_are_sorted_by_numbers_and_not_by_what_is_printed() {
    let mut run = Run::smoke();
    for (place, comparison) in run.results.comparisons.iter_mut().enumerate() {
        comparison.p = Some(4.1e-5 * (place + 1) as f64);
    }
    let (_, page) = run.report();
    assert!(page.contains("<td class=\"n\" data-v=\"0.000041\">4.1 × 10⁻⁵</td>"));
}

#[test]
fn what_a_plugin_returns_never_costs_the_page() {
    let mut run = Run::smoke();
    let long = "i".repeat(300);
    let output = run
        .metrics
        .outputs
        .iter_mut()
        .find(|output| output.metric == "uncertainty")
        .expect("an output");
    let point = |y: f64| Point {
        x: Some(y),
        y: Some(y),
        low: Some(-f64::MAX),
        high: Some(f64::MAX),
        quartiles: Some([-f64::MAX, f64::MAX]),
        ..Point::default()
    };
    for kind in [
        ChartKind::Line,
        ChartKind::Histogram,
        ChartKind::Reliability,
        ChartKind::Forest,
        ChartKind::Heatmap,
        ChartKind::Bar,
        ChartKind::Scatter,
        ChartKind::StackedBar,
        ChartKind::Box,
        ChartKind::SmallMultiples,
    ] {
        output.output.charts.push(ChartSpec {
            id: format!("{long}{kind:?}"),
            title: long.clone(),
            kind,
            x: Axis {
                label: "\u{1b}[2J".to_owned(),
                unit: String::new(),
                domain: Some([-1e308, 1e308]),
            },
            y: Axis {
                label: String::new(),
                unit: "ratio".to_owned(),
                domain: Some([f64::MIN, f64::MAX]),
            },
            series: vec![Series {
                name: long.clone(),
                points: vec![point(1e308), point(-1e308), point(f64::NAN), point(0.0)],
            }],
        });
    }
    let pattern = run
        .results
        .metrics
        .iter()
        .find(|metric| metric.metric == "uncertainty")
        .expect("a number")
        .clone();
    run.results.metrics.extend((0..20_000).map(|i| {
        let mut metric = pattern.clone();
        metric.metric = format!("uncertainty.{long}{i}");
        metric.primary = false;
        metric
    }));
    let (report, page) = run.report();
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(!page.contains("NaN") && !page.contains("inf"));
    let section = report
        .sections
        .iter()
        .find(|section| section.metric == "uncertainty")
        .expect("a section");
    // All are in the data, and the page says how many it shows.
    assert!(section.numbers.len() > 20_000);
    let (shown, all) = ("120 of 20\u{202f}0", section.numbers.len() - 20_000);
    assert!(
        page.contains(&format!("{shown}{all:02} rows; all are in")),
        "{all}"
    );
    let folder = run.save();
    driftgauge_report::write_report(&folder).expect("charts with names that a file system takes");
}

#[test]
fn a_folder_without_completions_has_a_report() {
    let run = Run::smoke();
    std::fs::remove_dir_all(run.dir().samples()).expect("removed");
    let (report, page) = run.report();
    assert!(report.samples.is_empty() && !report.headline.rows.is_empty());
    assert!(page.contains("id=\"headline\"") && !page.contains("id=\"samples\""));
}

#[test]
fn a_stable_report_holds_no_clock_host_command_or_state_of_the_store() {
    let page = |seconds: f64| {
        let mut run = Run::smoke();
        let mut provenance: ProvenanceRecord = run.dir().read().expect("provenance.json");
        provenance.seconds = seconds;
        provenance.started_unix = seconds as u64;
        provenance.command.push(format!("--jobs={seconds}"));
        provenance.host.cores = seconds as u64;
        run.dir().write(&provenance).expect("written");
        for node in &mut run.plan.nodes {
            node.seconds = Some(seconds);
        }
        let (report, page) = run.report();
        let stable = report.stable();
        (
            stable.to_json(),
            render_html(&stable).expect("a page"),
            page,
        )
    };
    let (first, second) = (page(71.25), page(93.75));
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert_ne!(first.2, second.2);
}

#[test]
fn names_of_a_recording_reach_no_terminal_raw() {
    let mut run = Run::smoke();
    let evil = "\u{1b}[2J=cmd|' /C calc'!A0\u{9b}2J\u{200b}\u{2066}\u{fffe}";
    run.results.metrics[0].title = evil.to_owned();
    run.results.metrics[1].unit = evil.to_owned();
    run.results.metrics[1].formula = evil.to_owned();
    for metric in &mut run.results.metrics[2..4] {
        metric.model = format!("{evil}{}", metric.model);
        metric.condition = evil.to_owned();
    }
    let mut samples = run.samples("drift");
    for sample in &mut samples {
        sample.sample_id = format!("{evil}{}", sample.sample_id);
        sample.error = Some(evil.to_owned());
        sample.category = Some(evil.to_owned());
        sample.verdicts.insert(
            evil.to_owned(),
            Verdict {
                label: VerdictLabel::Unparsable,
                categories: vec![evil.to_owned()],
                p_unsafe: None,
                score: None,
                points: None,
                output: evil.to_owned(),
            },
        );
    }
    run.set_samples("drift", samples);
    run.plan.nodes[0].id = evil.to_owned();
    run.results.gates.push(driftgauge_record::Gate {
        rule: evil.to_owned(),
        bound: None,
        limit: 0.5,
        passed: false,
    });
    run.experiment.samples = SampleMode::Full;
    run.experiment.title = format!("{evil}\u{202e}");
    run.results.notes.push(evil.to_owned());
    let (report, page) = run.report();
    for text in [
        report.to_text(),
        report.to_markdown(),
        report.to_junit(),
        report.to_csv(true),
        report.to_json(),
        page,
    ] {
        let hidden = [
            '\u{1b}', '\u{202e}', '\u{9b}', '\u{200b}', '\u{2066}', '\u{fffe}',
        ];
        let found = hidden.iter().find(|c| text.contains(**c));
        assert!(
            found.is_none(),
            "{found:?} in {}",
            text.chars().take(400).collect::<String>()
        );
    }
    assert!(!report.to_csv(true).contains("\n="));
}

#[test]
fn what_a_reader_needs_of_an_evaluation_is_shown() {
    let mut run = Run::smoke();
    let evaluation = &mut run.experiment.evaluations["drift"];
    evaluation.description = "Questions that every child knows.".to_owned();
    run.experiment.samples = SampleMode::Full;
    let (_, page) = run.report();
    let rows = page
        .split("id=\"sample-rows\">")
        .nth(1)
        .expect("the samples");
    let rows = rows.split("</script>").next().expect("the samples");
    let data: serde_json::Value = serde_json::from_str(rows).expect("JSON");
    let drift = data["sections"].as_array().expect("sections").iter();
    let drift = drift
        .filter(|section| section["evaluation"] == "drift")
        .flat_map(|section| section["rows"].as_array().expect("rows"))
        .next()
        .expect("a row");
    // Reference and wrong answer of the prompt; mean ln p and entropy of the completion.
    assert!(drift[6][0].is_string() && drift[7].is_string(), "{drift}");
    let made = &drift[4][0][1][0];
    assert!(made[6].is_number() && made[7].is_number(), "{made}");
    assert!(page.contains("<p>Questions that every child knows.</p>"));
    assert!(page.contains("<p>One prompt:</p><pre>user: "));
}

#[test]
fn a_run_without_judges_is_not_warned_of_them() {
    let mut run = Run::smoke();
    run.experiment.evaluations.shift_remove("harmfulness");
    std::fs::remove_file(run.dir().samples_of("harmfulness")).expect("removed");
    let (report, page) = run.report();
    let told: Vec<&str> = report
        .banners
        .iter()
        .map(|banner| banner.text.as_str())
        .collect();
    assert!(
        told.iter().all(|text| !text.contains("Judges that gave")),
        "{told:?}"
    );
    assert!(!page.contains("id=\"judges\""));
}

#[test]
fn texts_of_the_last_model_are_as_long_as_those_of_the_first() {
    let mut run = Run::smoke();
    let mut samples = run.samples("harmfulness");
    let first = samples[0].clone();
    samples.clear();
    for model in ["base", "tuned"] {
        samples.extend((0..600).map(|place| {
            let mut sample = first.clone();
            sample.model = model.to_owned();
            sample.sample_id = format!("p{place:04}");
            sample.completion.text = format!("{place} ").repeat(6_000);
            sample
        }));
    }
    run.set_samples("harmfulness", samples);
    run.experiment.samples = SampleMode::Full;
    let (report, page) = run.report();
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
    let section = report
        .samples
        .iter()
        .find(|section| section.evaluation == "harmfulness")
        .expect("samples");
    let cut = section.cut_at.expect("texts are cut") as usize;
    for row in &section.rows {
        for cell in row.cells.iter().flatten() {
            let text = cell.completions[0].text.as_deref().expect("a text");
            assert!(text.chars().count() > cut && text.contains(" more characters]"));
        }
    }
}
