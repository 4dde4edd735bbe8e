//! Frames: how messages are cut out of a byte stream, and what they say.

use std::io::{self, Read, Write};

use driftgauge_plugin_protocol::arrays::Given;
use driftgauge_plugin_protocol::clean::clean_line;
use driftgauge_plugin_protocol::ffi::DgStatus;
use driftgauge_plugin_protocol::wire::Manifest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns::{Column, Wanted};
use super::scores::{self, Head};
use crate::limits;

/// Set in the length of a frame that is bytes and no JSON.
const BYTES: u32 = 1 << 31;
/// A longer frame is not one of ours: most likely text printed into the stream.
pub(super) const LONGEST: usize = limits::RESULT + (1 << 20);
/// What stands before the JSON of a result.
const RESULT: &[u8] = b"{\"result\":";

/// What the parent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Make the instance.
    Create {
        /// Metric id.
        metric: String,
        /// Its configuration.
        config: Value,
        /// What the parent speaks: it takes scores as arrays since 1.2.
        #[serde(default)]
        abi: Option<[u32; 2]>,
    },
    /// Take a batch. A frame of bytes follows, in which its columns lie.
    Update {
        /// How many samples.
        rows: usize,
        /// The columns that were asked for in batches before.
        columns: Vec<Column>,
    },
    /// The column that was asked for; a frame of bytes follows.
    Column(Column),
    /// There is no such column, and why.
    NoColumn(String),
    /// Give the result.
    Finish,
    /// The run is being stopped. No answer is waited for.
    Cancel,
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The first frame.
    Hello(Hello),
    /// The request is done.
    Done,
    /// A field of the batch is needed.
    Column(Wanted),
    /// Scores of the result; a frame of bytes follows, in which their arrays lie.
    Scores(Head),
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

/// A reply with its bytes.
#[derive(Debug)]
pub(super) enum Said {
    /// A message.
    Reply(Reply),
    /// Scores as arrays, or what is wrong with them.
    Scores(Result<Given, String>),
    /// The JSON of a result, unchecked: checking is the parent's affair.
    Result(Vec<u8>),
}

/// What a worker says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Major and minor version of the ABI, which is the version of these frames too.
    pub(super) abi: [u32; 2],
    /// BLAKE3 of the library, hexadecimal; empty for a program.
    #[serde(default)]
    pub(super) digest: String,
    /// The metrics it has.
    #[serde(default)]
    pub(super) manifests: Vec<Manifest>,
}

/// An error as it crosses the pipe. With a status it is the metric's own, without one the worker's.
#[derive(Debug, Default, Serialize, Deserialize)]
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
    /// The key of the configuration that is wrong.
    #[serde(default)]
    pub(super) key: Option<String>,
}

/// A message as JSON.
pub(super) fn json(message: &impl Serialize) -> Vec<u8> {
    // Plain data with string keys always serialises.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Writes one frame of JSON.
pub(super) fn write(to: &mut impl Write, json: &[u8]) -> io::Result<()> {
    write_frame(to, &[json], 0)
}

/// Writes one frame of bytes.
pub(super) fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_frame(to, &[bytes], BYTES)
}

/// Writes the frame of a result.
pub(super) fn write_result(to: &mut impl Write, json: &[u8]) -> io::Result<()> {
    write_frame(to, &[RESULT, json, b"}"], 0)
}

fn write_frame(to: &mut impl Write, parts: &[&[u8]], kind: u32) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length)
        .ok()
        .filter(|length| length & BYTES == 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "frame of more than 2 GiB"))?;
    to.write_all(&(length | kind).to_le_bytes())?;
    parts.iter().try_for_each(|part| to.write_all(part))
}

/// Reads one frame: whether it is bytes, and what it holds; `None` at the end of the stream.
fn read_frame(from: &mut impl Read, longest: usize) -> io::Result<Option<(bool, Vec<u8>)>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let head = u32::from_le_bytes(head);
    let length = (head & !BYTES) as usize;
    if length > longest {
        return Err(invalid(format!(
            "frame of {length} bytes: something else than frames is written there"
        )));
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((head & BYTES != 0, bytes)))
}

/// Reads one message; `None` at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    match read_frame(from, LONGEST)? {
        None => Ok(None),
        Some((true, _)) => Err(invalid(
            "a frame of bytes that no message announced".to_owned(),
        )),
        Some((false, json)) => parse(&json).map(Some),
    }
}

/// Reads a frame of bytes, which a message announced.
pub(super) fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    read_bytes_of(from, BYTES as usize)
}

fn read_bytes_of(from: &mut impl Read, longest: usize) -> io::Result<Vec<u8>> {
    match read_frame(from, longest)? {
        Some((true, bytes)) => Ok(bytes),
        _ => Err(invalid("a message where bytes belong".to_owned())),
    }
}

/// Reads what a worker says next.
pub(super) fn read_said(from: &mut impl Read) -> io::Result<Option<Said>> {
    match read_frame(from, LONGEST)? {
        None => Ok(None),
        Some((true, _)) => Err(invalid(
            "a frame of bytes that no message announced".to_owned(),
        )),
        Some((false, mut json)) => {
            if json.starts_with(RESULT) && json.last() == Some(&b'}') {
                json.pop();
                json.drain(..RESULT.len());
                return Ok(Some(Said::Result(json)));
            }
            Ok(Some(match parse(&json)? {
                Reply::Scores(head) => {
                    let bytes = read_bytes_of(from, LONGEST)?;
                    Said::Scores(scores::decode(head, &bytes))
                }
                reply => Said::Reply(reply),
            }))
        }
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> io::Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let begin = String::from_utf8_lossy(&json[..json.len().min(80)]);
        invalid(format!(
            "{} in `{}`",
            clean_line(&error.to_string(), limits::LINE),
            clean_line(&begin, 80)
        ))
    })
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_pipe() {
        let mut bytes = Vec::new();
        let create = Request::Create {
            metric: "asr".to_owned(),
            config: Value::Null,
            abi: None,
        };
        write(&mut bytes, &json(&create)).unwrap();
        write_bytes(&mut bytes, b"abc").unwrap();
        write(&mut bytes, &json(&Request::Finish)).unwrap();
        let mut from = bytes.as_slice();
        assert!(matches!(
            read(&mut from).unwrap(),
            Some(Request::Create { metric, .. }) if metric == "asr"
        ));
        assert_eq!(read_bytes(&mut from).unwrap(), b"abc");
        assert!(matches!(read(&mut from).unwrap(), Some(Request::Finish)));
        assert!(read::<Request>(&mut from).unwrap().is_none());
    }

    #[test]
    fn a_result_is_its_bytes() {
        let mut bytes = Vec::new();
        write_result(&mut bytes, b"{\"a\": 1}}").unwrap();
        write(&mut bytes, b"\"done\"").unwrap();
        let mut from = bytes.as_slice();
        let Some(Said::Result(json)) = read_said(&mut from).unwrap() else {
            panic!("no result");
        };
        assert_eq!(json, b"{\"a\": 1}}");
        assert!(matches!(
            read_said(&mut from).unwrap(),
            Some(Said::Reply(Reply::Done))
        ));
    }

    #[test]
    fn printed_text_is_no_frame() {
        let error = read::<Reply>(&mut b"hello, world".as_slice()).unwrap_err();
        assert!(error.to_string().contains("something else than frames"));
        let error = read::<Reply>(&mut [9, 0, 0, 0, b'{'].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let error = read::<Reply>(&mut [1, 0, 0, 0x80, b'{'].as_slice()).unwrap_err();
        assert!(error.to_string().contains("no message announced"));
    }
}
