//! The report of a fixture run: as data, as one chart, as a whole page. Dropping another run folder into
//! `tests/fixtures/runs` tests it too.

mod common;

use std::path::{Path, PathBuf};

use common::{Run, copy, runs};
use driftgauge_record::RunDir;
use driftgauge_record::files::resolved::SampleMode;
use driftgauge_report::{Picture, Report, render_html, write_report};

fn settings(name: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_suffix(name);
    settings
}

fn each_run(check: impl Fn(&str, &RunDir)) {
    let mut seen = 0;
    for entry in std::fs::read_dir(runs()).expect("fixture runs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        check(&name, &RunDir::new(entry.path()));
        seen += 1;
    }
    assert!(seen > 0, "there are no fixture runs");
}

#[test]
fn the_report_as_data() {
    each_run(|name, run| {
        let report = Report::build(run).expect("a report");
        settings(name).bind(|| insta::assert_json_snapshot!("report_json", report));
    });
}

#[test]
fn the_whole_page() {
    each_run(|name, run| {
        let report = Report::build(run).expect("a report");
        let page = render_html(&report).expect("a page");
        assert_eq!(
            page,
            render_html(&report).expect("a page"),
            "two renderings differ"
        );
        settings(name).bind(|| insta::assert_snapshot!("report_html", page));
    });
}

#[test]
fn one_chart() {
    each_run(|name, run| {
        let folder = tempfile::tempdir().expect("a folder");
        copy(run.path(), folder.path());
        let copied = RunDir::new(folder.path());
        write_report(&copied).expect("a report");
        let mut charts: Vec<PathBuf> = std::fs::read_dir(copied.charts())
            .expect("charts")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        charts.sort();
        let svg = std::fs::read_to_string(&charts[0]).expect("a chart");
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
        settings(name).bind(|| insta::assert_snapshot!("first_chart", svg));
    });
}

#[test]
fn every_chart_is_a_picture_too() {
    each_run(|_, run| {
        let folder = tempfile::tempdir().expect("a folder");
        let report = Report::build(run).expect("a report");
        let write = |picture| {
            report
                .write_charts(folder.path(), picture)
                .expect("charts")
                .charts
        };
        assert_eq!(write(Picture::Svg), report.figures().count());
        assert_eq!(write(Picture::Png), report.figures().count());
        for figure in report.figures() {
            let read = |ending: &str| {
                let name = format!("{}.{ending}", figure.id);
                std::fs::read(folder.path().join(name)).expect("a chart")
            };
            let (svg, png) = (read("svg"), read("png"));
            let svg = String::from_utf8(svg).expect("text");
            assert!(png.starts_with(b"\x89PNG\r\n"));
            // 300 pixels to the inch, of which the SVG has 96 units.
            let side = |place: usize| {
                let bytes = png[place..place + 4].try_into().expect("four bytes");
                f64::from(u32::from_be_bytes(bytes)) * 96.0 / 300.0
            };
            let size = format!("width=\"{:.0}\" height=\"{:.0}\"", side(16), side(20));
            assert!(svg.contains(&size), "{size}");
            // A reader of the file alone tells several series apart.
            for series in figure.chart.series.iter().skip(1) {
                let first = series.name.split_whitespace().next().unwrap_or_default();
                assert!(svg.contains(first), "{}: {first}", figure.id);
            }
        }
    });
}

#[test]
fn completions_are_hidden_and_model_output_is_no_markup() {
    let mut run = Run::smoke();
    let mut samples = run.samples("harmfulness");
    for sample in &mut samples {
        sample.completion.text = "<script>alert(1)</script>\u{1b}[31mred".to_owned();
        sample.sample_id = format!("{}<img src=x>", sample.sample_id);
    }
    run.set_samples("harmfulness", samples);
    let (_, page) = run.report();
    assert!(!page.contains("alert(1)"), "a completion is shown");
    assert!(!page.contains("<img"), "an id became markup");
    // With everything shown, the text is there, and is still only text.
    run.experiment.samples = SampleMode::Full;
    let (_, page) = run.report();
    assert!(
        page.contains("&lt;script&gt;alert(1)"),
        "the text is missing"
    );
    assert!(!page.contains("<script>alert(1)") && !page.contains('\u{1b}'));
}
