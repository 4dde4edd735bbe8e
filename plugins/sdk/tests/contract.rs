//! What a metric may rely on, and what the harness sees of one that misbehaves.

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_plugin_sdk::{ErrorKind, testing};
use serde_json::{Value, json};

/// Does what its configuration says.
struct Probe {
    config: ProbeConfig,
    seen: Vec<String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProbeConfig {
    #[serde(default)]
    panic_in: String,
    #[serde(default)]
    field: String,
    #[serde(default)]
    nan: bool,
}

/// A column holds what each sample has.
fn assert_columns(batch: Batch<'_>) -> Result<(), MetricError> {
    let rows = || batch.samples().enumerate();
    for field in ["sample_id", "condition", "completion", "category"] {
        let column = batch.column_str(field)?;
        assert_eq!(column.len(), batch.len());
        for (row, sample) in rows() {
            assert_eq!(column[row], sample.opt_str(field)?, "{field}");
        }
    }
    let (numbers, prompts) = (batch.column_f64("value.correct")?, batch.column_prompt()?);
    let (indices, logprobs) = (
        batch.column_i64("sample_index")?,
        batch.column_f32s("token_logprob")?,
    );
    let lists = batch.column_f64s("value.correct")?;
    for (row, sample) in rows() {
        assert_eq!(numbers[row], sample.opt_f64("value.correct")?);
        assert_eq!(prompts[row], sample.prompt()?);
        assert_eq!(indices[row], sample.opt_i64("sample_index")?);
        assert_eq!(logprobs[row], sample.f32s("token_logprob")?);
        assert_eq!(lists[row], sample.f64s("value.correct")?);
    }
    let unknown = batch.column_str("no_such").err();
    assert!(unknown.is_some_and(|error| error.to_string().contains("no_such")));
    Ok(())
}

impl Metric for Probe {
    type Config = ProbeConfig;

    fn manifest() -> Manifest {
        Manifest::new("probe", "1", "Probe").needs(&["completion"])
    }

    fn new(config: ProbeConfig, host: &Host<'_>) -> Result<Self, MetricError> {
        host.log(LogLevel::Info, "made");
        assert_ne!(config.panic_in, "new", "asked to");
        Ok(Self {
            config,
            seen: vec![],
        })
    }

    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
        assert_ne!(self.config.panic_in, "update", "asked to");
        assert!(!batch.host().cancelled());
        assert_columns(batch)?;
        for sample in batch.samples() {
            if self.config.field.is_empty() {
                self.seen.push(describe(&sample)?);
            } else {
                sample.str(&self.config.field)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, host: &Host<'_>) -> Result<MetricOutput, MetricError> {
        assert_ne!(self.config.panic_in, "finish", "asked to");
        host.log(LogLevel::Info, "finished");
        assert!(!host.cancelled());
        let mut output = MetricOutput::new();
        let value = if self.config.nan { f64::NAN } else { 1.0 };
        output
            .scalars
            .push(Scalar::new("probe", "Probe", "default").value(value, 1));
        output.notes = std::mem::take(&mut self.seen);
        Ok(output)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        assert!(self.config.panic_in != "drop" || std::thread::panicking());
    }
}

fn describe(sample: &Sample<'_>) -> Result<String, MetricError> {
    Ok(format!(
        "{} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        sample.str("sample_id")?,
        sample.str("condition")?,
        sample.str("completion")?,
        sample.opt_str("category")?,
        sample.strs("references")?,
        sample.strs("judges")?,
        sample.opt_str("verdict.guard")?,
        sample.opt_f64("p_unsafe.guard")?,
        sample.f32s("token_logprob")?,
        sample.f64s("value.kl")?,
        sample.opt_str("row.year")?,
        sample.i64("looping")?,
    ))
}

fn sample() -> Value {
    json!({
        "sample_id": "a",
        "completion": {"text": "y\u{e9}s", "token_logprob": [-0.5, -1.0]},
        "references": ["yes", ""],
        "degenerate": {"looping": true},
        "row": {"year": 1912},
        "verdicts": {"guard": {"label": "unsafe", "p_unsafe": 0.75}, "refusal": {"label": "safe"}},
        "values": {"kl": [0.1, 0.2]},
    })
}

#[test]
fn every_kind_of_field_arrives() {
    let output = testing::run::<Probe>(&json!({}), &[sample()]).unwrap();
    assert_eq!(
        output.notes[0],
        "a default \"y\u{e9}s\" None [\"yes\", \"\"] [\"guard\", \"refusal\"] Some(\"unsafe\") \
         Some(0.75) [-0.5, -1.0] [0.1, 0.2] Some(\"1912\") 1"
    );
}

#[test]
fn absent_fields_are_errors_with_the_sample() {
    let run =
        |field: &str| testing::run::<Probe>(&json!({ "field": field }), &[sample()]).unwrap_err();
    let error = run("category");
    assert_eq!(error.kind, ErrorKind::Data);
    assert_eq!(error.message, "sample has no value for `category`");
    assert_eq!(error.sample_id.as_deref(), Some("a"));
    assert_eq!(run("catgory").code.as_deref(), Some("no-field"));
    assert_eq!(run("token_logprob").code.as_deref(), Some("field-type"));
}

#[test]
fn panics_become_errors_everywhere() {
    for place in ["new", "update", "finish"] {
        let error = testing::run::<Probe>(&json!({ "panic_in": place }), &[sample()]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Panic, "{place}");
        assert!(error.message.contains("asked to"), "{}", error.message);
    }
}

#[test]
fn a_panic_while_dropping_stays_inside() {
    let error = testing::run::<Probe>(&json!({ "panic_in": "drop" }), &[sample()]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Panic);
    let config = json!({ "panic_in": "drop", "field": "catgory" });
    let error = testing::run::<Probe>(&config, &[sample()]).unwrap_err();
    assert_eq!(error.code.as_deref(), Some("no-field"));
}

#[test]
fn a_wrong_configuration_names_the_key() {
    let error = testing::run::<Probe>(&json!({ "panik": 1 }), &[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("panik"), "{}", error.message);
}

#[test]
fn nan_never_leaves_the_plugin() {
    let error = testing::run::<Probe>(&json!({ "nan": true }), &[]).unwrap_err();
    assert_eq!(error.code.as_deref(), Some("bad-output"));
}

#[test]
fn the_manifest_carries_the_schema_of_the_configuration() {
    let manifest = driftgauge_plugin_sdk::export::full_manifest::<Probe>();
    assert!(manifest.config_schema["properties"]["nan"].is_object());
}
