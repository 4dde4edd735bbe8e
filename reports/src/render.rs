//! From [`Report`] to one self-contained page. The only place that writes markup.

mod evaluations;
mod filters;
mod fit;
mod flips;
mod kept;
mod long;
mod rows;

use base64::Engine as _;
use minijinja::{Environment, Value, context};
use sha2::{Digest as _, Sha256};

use crate::across::AcrossRuns;
use crate::charts::{self, run_graph};
use crate::model::ONLY_CONDITION;
use crate::{Report, ReportError};

/// The page and its parts, in the order of the page.
const TEMPLATES: [(&str, &str); 15] = [
    ("report.html", include_str!("templates/report.html")),
    ("macros.html", include_str!("templates/macros.html")),
    ("opening.html", include_str!("templates/opening.html")),
    ("results.html", include_str!("templates/results.html")),
    ("samples.html", include_str!("templates/samples.html")),
    ("evaluation.html", include_str!("templates/evaluation.html")),
    ("metric.html", include_str!("templates/metric.html")),
    ("left_out.html", include_str!("templates/left_out.html")),
    ("judges.html", include_str!("templates/judges.html")),
    ("asked.html", include_str!("templates/asked.html")),
    ("axes.html", include_str!("templates/axes.html")),
    ("training.html", include_str!("templates/training.html")),
    ("run.html", include_str!("templates/run.html")),
    ("reading.html", include_str!("templates/reading.html")),
    ("across.html", include_str!("templates/across.html")),
];
const STYLE: &str = include_str!("assets/report.css");
/// Theme and sorting: all that a page without samples needs.
const PAGE_SCRIPT: &str = include_str!("assets/report.js");
const SCRIPT: &str = concat!(
    include_str!("assets/report.js"),
    include_str!("assets/samples.js")
);

/// Rows of samples that stand in the page without its script, and characters of each text of theirs.
const STATIC_ROWS: usize = 50;
const STATIC_TEXT: usize = 2_000;
/// Bytes that are always left to the tables and charts of the page, whatever the samples take.
const BESIDE_SAMPLES: usize = 2_500_000;

/// Renders the page. Text of models, datasets and specs is escaped by the template engine; control characters are made
/// visible first.
///
/// # Errors
/// When two parts of the page would share an id, or the template fails.
pub fn render_html(report: &Report) -> Result<String, ReportError> {
    check_ids(report)?;
    let environment = environment()?;
    let samples = rows::script_block(report, fit::PAGE - BESIDE_SAMPLES);
    let shared = context! {
        report => Value::from_serialize(report),
        only_condition => ONLY_CONDITION,
        beside => long::BESIDE,
        sample_counts => Value::from_serialize(&samples.counts),
        static_rows => STATIC_ROWS.div_ceil(report.samples.len().max(1)),
        static_text => STATIC_TEXT,
    };
    let evaluations = evaluations::Evaluations::of(report, &environment, &shared);
    let table = |name: &'static str, more: Value| -> fit::Draw<'_> {
        let environment = &environment;
        let given = context! { ..more, ..shared.clone() };
        Box::new(move |room| {
            fit::with_rows(room, |most| {
                let template = environment.get_template(name)?;
                Ok(template.render(context! { most, ..given.clone() })?)
            })
        })
    };
    let headline = long::headline(report);
    let run = context! {
        graph => run_graph(report),
        resolved => serde_json::to_string_pretty(&report.resolved).unwrap_or_default(),
    };
    let nothing = context! {};
    let flips = context! { flips => Value::from_serialize(flips::of(report)) };
    let mut parts = vec![
        table("opening.html", nothing.clone()),
        table(
            "results.html",
            context! { long => Value::from_serialize(headline) },
        ),
        evaluations.draw(),
        table("run.html", run),
    ];
    for (name, is_there) in [
        ("samples.html", !report.samples.is_empty()),
        ("axes.html", !report.axes.is_empty()),
        ("judges.html", true),
        ("asked.html", true),
        ("training.html", !report.training.is_empty()),
        ("reading.html", true),
    ] {
        let more = if name == "samples.html" {
            &flips
        } else {
            &nothing
        };
        let draw = table(name, more.clone());
        parts.push(if is_there {
            draw
        } else {
            Box::new(|_| Ok(String::new()))
        });
    }
    let frame = STYLE.len() + SCRIPT.len() + samples.text.len();
    let drawn = fit::fitted(
        &parts,
        fit::PAGE.saturating_sub(frame).max(BESIDE_SAMPLES / 2),
    )?;
    let drawn: Vec<Value> = drawn.into_iter().map(Value::from_safe_string).collect();
    let page = environment.get_template("report.html")?.render(context! {
        title => &report.title,
        parts => drawn,
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        script_hash => digest(SCRIPT),
        sample_rows => Value::from_safe_string(samples.text),
    })?;
    Ok(evaluations.relinked(page))
}

fn run_graph(report: &Report) -> Option<Value> {
    let drawing = run_graph::draw(&report.run.as_ref()?.nodes)?;
    let about = "Nodes of the plan, from inputs to results.";
    let svg = charts::element(&drawing, "run-graph", "Run graph", about);
    Some(Value::from_safe_string(svg))
}

/// Renders several runs side by side.
///
/// # Errors
/// When the template fails.
pub fn render_across(across: &AcrossRuns) -> Result<String, ReportError> {
    let environment = environment()?;
    let shared = context! {
        across => Value::from_serialize(across),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(PAGE_SCRIPT.to_owned()),
        script_hash => digest(PAGE_SCRIPT),
    };
    fit::with_rows(fit::PAGE, |most| {
        let template = environment.get_template("across.html")?;
        Ok(template.render(context! { most, ..shared.clone() })?)
    })
}

/// What the page's policy knows its only script by.
fn digest(script: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script.as_bytes()))
}

fn environment() -> Result<Environment<'static>, ReportError> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    // A name that the data does not have is a mistake in a template, and no blank.
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    filters::add(&mut environment);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// Two things with one id would be each other's charts, files and links.
fn check_ids(report: &Report) -> Result<(), ReportError> {
    let mut seen = std::collections::HashSet::new();
    let sections = report.sections.iter().map(|section| &section.id);
    for id in sections.chain(report.figures().map(|figure| &figure.id)) {
        if !seen.insert(id) {
            return Err(ReportError::SameId { id: id.clone() });
        }
    }
    Ok(())
}
