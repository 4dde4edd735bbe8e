//! Frames: how messages are cut out of a byte stream, and what they say.

use std::io::{self, Read, Write};

use driftgauge_plugin_protocol::ffi::DgStatus;
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_record::Sample;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A longer frame is not one of ours: most likely text printed into the stream.
const LONGEST: usize = 1 << 30;

/// What the parent says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Make the instance.
    Create {
        /// Metric id.
        metric: String,
        /// Its configuration.
        config: Value,
    },
    /// Take a batch.
    Update {
        /// The samples.
        samples: Vec<Sample>,
    },
    /// Give the result.
    Finish,
}

/// [`Request`] as it is written; samples are written as the text that they come as.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequestRef<'a> {
    /// Make the instance.
    Create {
        /// Metric id.
        metric: &'a str,
        /// Its configuration.
        config: &'a Value,
    },
    /// Give the result.
    Finish,
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The first frame.
    Hello(Hello),
    /// The request is done.
    Done,
    /// The result, unchecked: checking is the parent's affair.
    Result(Value),
    /// The request failed.
    Error(Failure),
    /// A line for the run log.
    Log {
        /// 0 error to 4 trace.
        level: i32,
        /// The text.
        message: String,
    },
}

/// What a worker says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Major and minor version of the ABI, which is the version of these frames too.
    pub(super) abi: [u32; 2],
    /// Abilities beyond version 1.0.
    #[serde(default)]
    pub(super) features: Vec<String>,
    /// BLAKE3 of the library, hexadecimal.
    #[serde(default)]
    pub(super) digest: String,
    /// The metrics it has.
    #[serde(default)]
    pub(super) manifests: Vec<Manifest>,
}

/// An error as it crosses the pipe. With a status it is the metric's own, without one the worker's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Status of the call into the plugin.
    #[serde(default)]
    pub(super) status: Option<DgStatus>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    #[serde(default)]
    pub(super) help: Option<String>,
    /// A stable code.
    #[serde(default)]
    pub(super) code: Option<String>,
    /// The sample it happened on.
    #[serde(default)]
    pub(super) sample_id: Option<String>,
}

/// A message as JSON.
pub(super) fn json(message: &impl Serialize) -> String {
    // Plain data with string keys always serialises.
    serde_json::to_string(message).unwrap_or_default()
}

/// Writes one frame.
pub(super) fn write(to: &mut impl Write, json: &str) -> io::Result<()> {
    let length = u32::try_from(json.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "frame of more than 4 GiB"))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(json.as_bytes())?;
    to.flush()
}

/// Reads one frame; `None` at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        let text = format!("frame of {length} bytes: something else than frames is written there");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut json = Vec::new();
    from.take(length as u64).read_to_end(&mut json)?;
    if json.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&json)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_pipe() {
        let mut bytes = Vec::new();
        let config = Value::Null;
        let create = RequestRef::Create {
            metric: "asr",
            config: &config,
        };
        write(&mut bytes, &json(&create)).unwrap();
        write(&mut bytes, &json(&RequestRef::Finish)).unwrap();
        let mut from = bytes.as_slice();
        assert!(matches!(
            read(&mut from).unwrap(),
            Some(Request::Create { metric, .. }) if metric == "asr"
        ));
        assert!(matches!(read(&mut from).unwrap(), Some(Request::Finish)));
        assert!(read::<Request>(&mut from).unwrap().is_none());
    }

    #[test]
    fn printed_text_is_no_frame() {
        let error = read::<Reply>(&mut b"hello, world".as_slice()).unwrap_err();
        assert!(error.to_string().contains("something else than frames"));
        let error = read::<Reply>(&mut [9, 0, 0, 0, b'{'].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
