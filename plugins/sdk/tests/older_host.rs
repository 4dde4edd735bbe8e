//! A harness of ABI 1.1 takes no arrays: a plugin of today gives it the scores as JSON.
#![expect(unsafe_code, reason = "plays an older harness")]
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use driftgauge_plugin_protocol::ffi::{DG_OK, DgBuf, DgHost, DgStr};
use driftgauge_plugin_protocol::rows::HostContext;
use driftgauge_plugin_protocol::wire::SampleIds;
use driftgauge_plugin_sdk::export::Exported;
use driftgauge_plugin_sdk::prelude::*;
use driftgauge_plugin_sdk::testing;
use serde_json::json;

struct Half;

impl Metric for Half {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("half", "1", "Half of the samples")
    }

    fn new(_: NoConfig, _: &Host<'_>) -> Result<Self, MetricError> {
        Ok(Self)
    }

    fn update(&mut self, _: Batch<'_>) -> Result<(), MetricError> {
        Ok(())
    }

    fn finish(self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
        let mut output = MetricOutput::new();
        let scalar = Scalar::new("half", "Half", "default").value(0.5, 2);
        output.scalars.push(scalar.primary());
        output.scores.push(Scores {
            id: "half".to_owned(),
            condition: "default".to_owned(),
            kind: ScoreKind::Binary,
            sample_ids: SampleIds::from_iter(["b", "a", "c"]),
            values: vec![Some(1.0), None, Some(0.0)].into(),
        });
        Ok(output)
    }
}

/// The result over no samples, and how many lists of scores came as arrays, of a harness whose structure has so many bytes.
fn finish(size: usize) -> (MetricOutput, usize) {
    let context = HostContext::new(Box::new(|_, _| ()), Arc::new(AtomicBool::new(false)));
    context.show(3);
    let table = DgHost {
        struct_size: u32::try_from(size).unwrap(),
        abi_minor: 1,
        ..context.table()
    };
    let vtable = Exported::<Half>::VTABLE;
    let (mut made, mut json, mut error) = (std::ptr::null_mut(), DgBuf::EMPTY, DgBuf::EMPTY);
    let config = DgStr::new("{}");
    // SAFETY: create, finish and destroy once; the table and its context outlive the instance.
    unsafe {
        let create = vtable.create.unwrap();
        let status = create(&raw const table, config, &raw mut made, &raw mut error);
        assert_eq!(status, DG_OK);
        let status = vtable.finish.unwrap()(made, &raw mut json, &raw mut error);
        assert_eq!(status, DG_OK);
        vtable.destroy.unwrap()(made);
        let output = serde_json::from_slice(&json.take()).unwrap();
        (output, context.take_scores().unwrap().len())
    }
}

#[test]
fn an_older_harness_is_given_json() {
    let (old, arrays) = finish(offset_of!(DgHost, scores));
    assert_eq!((old.scores.len(), arrays), (1, 0));
    let (new, arrays) = finish(size_of::<DgHost>());
    assert_eq!((new.scores.len(), arrays), (0, 1));
    // As the harness of today puts it together, the same.
    let samples = ["a", "b", "c"].map(|id| json!({"sample_id": id, "completion": {"text": ""}}));
    assert_eq!(testing::run::<Half>(&json!({}), &samples).unwrap(), old);
}
