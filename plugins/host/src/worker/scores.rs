//! Scores as they cross the pipe: what they are in JSON, and their arrays in the frame of bytes that follows.
//!
//! | part | items |
//! |---|---|
//! | `values` | `f64`, little-endian |
//! | `present` | bytes: 1, or 0 where a prompt has no score; left out where all have one |
//! | `prompts` | `u32`: the field `prompt` of the sample that each is of; left out where these are 0, 1, 2... |
//! | `sample_ids` | instead of `prompts`, two parts: offsets (`u32`, one more than ids) into the bytes, and bytes |

use driftgauge_plugin_protocol::arrays::{Given, Of};
use driftgauge_plugin_protocol::texts::TextList;
use driftgauge_plugin_protocol::wire::{ScoreKind, ScoreValues};
use serde::{Deserialize, Serialize};

use super::columns::{Part, put};

/// Scores whose arrays follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    id: String,
    condition: String,
    kind: ScoreKind,
    values: Part,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompts: Option<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample_ids: Option<[Part; 2]>,
}

/// Writes arrays to the end of `bytes`.
pub(super) fn encode(given: &Given, bytes: &mut Vec<u8>) -> Head {
    let values = given.values.numbers();
    let values: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let flags = given.values.iter().map(|value| u8::from(value.is_some()));
    let present = (given.values.missing() > 0).then(|| flags.collect::<Vec<u8>>());
    let words = |words: &mut dyn Iterator<Item = u32>| -> Vec<u8> {
        words.flat_map(u32::to_le_bytes).collect()
    };
    let mut head = Head {
        id: given.id.clone(),
        condition: given.condition.clone(),
        kind: given.kind,
        values: put(bytes, &values),
        present: present.map(|flags| put(bytes, &flags)),
        prompts: None,
        sample_ids: None,
    };
    match &given.of {
        Of::First => {}
        Of::Prompts(numbers) => {
            head.prompts = Some(put(bytes, &words(&mut numbers.iter().copied())));
        }
        Of::Ids(ids) => {
            let text: String = ids.iter().collect();
            // A frame has less than 2 GiB.
            let ends = ids.ends().map(|end| end as u32);
            let offsets = words(&mut std::iter::once(0).chain(ends));
            head.sample_ids = Some([put(bytes, &offsets), put(bytes, text.as_bytes())]);
        }
    }
    head
}

/// Takes arrays out of the frame's bytes.
///
/// # Errors
/// When its parts are not as told.
pub(super) fn decode(head: Head, bytes: &[u8]) -> Result<Given, String> {
    let strange = |what: &str| {
        format!(
            "`{what}` of scores `{}` of condition `{}` is not as told",
            head.id, head.condition
        )
    };
    let part = |[start, len]: Part| bytes.get(start..start.checked_add(len)?);
    let words = |place: Part| {
        let (words, rest) = part(place)?.as_chunks::<4>();
        let words = words.iter().map(|&word| u32::from_le_bytes(word));
        rest.is_empty().then(|| words.collect::<Vec<u32>>())
    };
    let values = part(head.values).map(<[u8]>::as_chunks::<8>);
    let values = values.filter(|(_, rest)| rest.is_empty());
    let (values, _) = values.ok_or_else(|| strange("values"))?;
    let values = values.iter().map(|&value| f64::from_le_bytes(value));
    let values: Vec<f64> = values.collect();
    let present = match head.present {
        None => None,
        Some(flags) => Some(part(flags).ok_or_else(|| strange("present"))?),
    };
    let values = ScoreValues::of_given(&values, present, head.kind == ScoreKind::Binary);
    let values = values.map_err(|fault| {
        format!(
            "scores `{}` of condition `{}` {fault}",
            head.id, head.condition
        )
    })?;
    let of = match (head.prompts, head.sample_ids) {
        (None, None) => Of::First,
        (Some(numbers), None) => Of::Prompts(words(numbers).ok_or_else(|| strange("prompts"))?),
        (Some(_), Some(_)) => return Err(strange("sample_ids")),
        (None, Some([offsets, text])) => {
            let ids = || {
                let text = std::str::from_utf8(part(text)?).ok()?.to_owned();
                let offsets = words(offsets)?;
                let (&0, ends) = offsets.split_first()? else {
                    return None;
                };
                TextList::from_parts(text, ends.to_vec())
            };
            Of::Ids(ids().ok_or_else(|| strange("sample_ids"))?)
        }
    };
    Ok(Given {
        id: head.id,
        condition: head.condition,
        kind: head.kind,
        values,
        of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(of: Of) -> Given {
        Given {
            id: "rate".to_owned(),
            condition: "default".to_owned(),
            kind: ScoreKind::Binary,
            values: vec![Some(1.0), Some(0.0), None].into(),
            of,
        }
    }

    #[test]
    fn arrays_survive_the_frame() {
        let ids = TextList::from_iter(["a", "", "bücher"]);
        let kinds = [Of::First, Of::Prompts(vec![2, 0, 7]), Of::Ids(ids)];
        for given in kinds.map(given) {
            let mut bytes = vec![9; 3];
            let head = encode(&given, &mut bytes);
            let json = serde_json::to_vec(&head).unwrap();
            let head: Head = serde_json::from_slice(&json).unwrap();
            assert_eq!(decode(head, &bytes), Ok(given));
        }
    }

    #[test]
    fn parts_that_are_none_are_refused() {
        let mut bytes = Vec::new();
        let sound = encode(&given(Of::Prompts(vec![0, 1, 2])), &mut bytes);
        assert!(decode(sound.clone(), &bytes).is_ok());
        let ids = |offsets: &[u32], text: &[u8]| {
            let mut bytes = bytes.clone();
            let offsets: Vec<u8> = offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
            let parts = [put(&mut bytes, &offsets), put(&mut bytes, text)];
            let head = Head {
                prompts: None,
                sample_ids: Some(parts),
                ..sound.clone()
            };
            decode(head, &bytes).map(|_| ())
        };
        assert_eq!(ids(&[0, 1, 2, 3], b"abc"), Ok(()));
        for (offsets, text) in [
            (&[][..], &b""[..]),
            (&[1, 2, 3], b"abc"),
            (&[0, 2, 1, 3], b"abc"),
            (&[0, 1, 2, 4], b"abc"),
            (&[0, 1, 2, u32::MAX], b"abc"),
            (&[0, 1, 2, 3], b"\xff\xfe\xfd"),
            (&[0, 1, 2], "aä".as_bytes()),
        ] {
            let error = ids(offsets, text).unwrap_err();
            assert!(error.contains("`sample_ids` of scores `rate`"), "{error}");
        }
        for (change, field) in [
            (|head: &mut Head| head.values = [0, 23], "values"),
            (|head: &mut Head| head.values = [usize::MAX, 8], "values"),
            (|head: &mut Head| head.values = [8, usize::MAX], "values"),
            (|head: &mut Head| head.values = [1 << 40, 8], "values"),
            (
                |head: &mut Head| head.present = Some([0, 1 << 20]),
                "present",
            ),
            (|head: &mut Head| head.prompts = Some([0, 6]), "prompts"),
            (
                |head: &mut Head| head.sample_ids = Some([[0, 0]; 2]),
                "sample_ids",
            ),
        ] as [(fn(&mut Head), &str); 7]
        {
            let mut head = sound.clone();
            change(&mut head);
            let error = decode(head, &bytes).unwrap_err();
            assert!(error.contains(&format!("`{field}` of scores")), "{error}");
        }
    }
}
