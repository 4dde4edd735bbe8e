//! The metric over samples whose numbers are known by hand.

mod asked;
mod categories;
mod classes;
mod judges;
mod prompts;
mod told;

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::MetricOutput;
use serde_json::{Value, json};

use super::Asr;

fn sample(id: &str, guard: &str, refusal: &str) -> Value {
    json!({
        "sample_id": id,
        "completion": {"text": "So it is.", "finish_reason": "stop"},
        "verdicts": {"guard": {"label": guard, "categories": ["S2"]}, "refusal": {"label": refusal}},
    })
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Asr>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Asr>(config, samples, 2).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    // One that wants ids, and one that takes numbers of prompts for scores alone.
    for minor in [0, 2] {
        let older = testing::run_under::<Asr>(minor, config, samples, 3).unwrap();
        assert_eq!(whole, older, "a harness of 1.{minor} changes the result");
    }
    whole
}

fn scalar<'a>(output: &'a MetricOutput, id: &str) -> &'a driftgauge_plugin_sdk::wire::Scalar {
    let found = output.scalars.iter().find(|scalar| scalar.id == id);
    found.unwrap_or_else(|| panic!("no `{id}`"))
}

fn value(output: &MetricOutput, id: &str) -> Option<f64> {
    scalar(output, id).value
}

fn table<'a>(output: &'a MetricOutput, id: &str) -> &'a driftgauge_plugin_sdk::wire::Table {
    let found = output.tables.iter().find(|table| table.id == id);
    found.unwrap_or_else(|| panic!("no table `{id}`"))
}
