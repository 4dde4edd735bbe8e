//! JSON as programs write it: what others write where JSON has no word (NaN, Infinity) is null, integers of any size keep
//! their digits, and a key that stands twice is an error wherever it stands.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value, and how many numbers in it were no numbers and are null.
pub(crate) struct Parsed {
    pub(crate) value: Value,
    pub(crate) nulls: usize,
}

/// Reads one value.
///
/// # Errors
/// When the text is no JSON, or a key of an object occurs twice.
pub(crate) fn parse(text: &str) -> Result<Parsed, serde_json::Error> {
    let (text, nulls) = plain(text);
    let Unique(value) = serde_json::from_str(&text)?;
    Ok(Parsed { value, nulls })
}

/// The same text with `null` for NaN and Infinity, and in quotes the integers that 64 bits do not hold.
fn plain(text: &str) -> (Cow<'_, str>, usize) {
    const NOT_FINITE: [&str; 4] = ["-Infinity", "Infinity", "-NaN", "NaN"];
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut nulls) = (String::new(), 0, 0);
    let mut at = 0;
    while at < bytes.len() {
        let (end, instead) = match bytes[at] {
            b'"' => (end_of_string(bytes, at), None),
            b'-' | b'N' | b'I' | b'0'..=b'9' => {
                let word = NOT_FINITE
                    .into_iter()
                    .find(|word| text[at..].starts_with(word));
                match word {
                    Some(word) => {
                        nulls += 1;
                        (at + word.len(), Some("null".to_owned()))
                    }
                    None => {
                        let end = end_of_number(bytes, at);
                        let digits = &text[at..end];
                        let is_long = digits.len() > 18
                            && is_integer(digits)
                            && digits.parse::<i64>().is_err()
                            && digits.parse::<u64>().is_err();
                        (end, is_long.then(|| format!("\"{digits}\"")))
                    }
                }
            }
            _ => (at + 1, None),
        };
        if let Some(instead) = instead {
            out.push_str(&text[copied..at]);
            out.push_str(&instead);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return (Cow::Borrowed(text), nulls);
    }
    out.push_str(&text[copied..]);
    (Cow::Owned(out), nulls)
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let in_number = |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let rest = bytes[start + 1..].iter().take_while(|b| in_number(b));
    start + 1 + rest.count()
}

/// Whether JSON has such an integer: one sign at most, and no zeros before it. What is none stays as it is, for the parser to refuse.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'))
}

/// A value in which no object has a key twice: of two values of one key nobody knows which is meant.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` occurs twice")));
            }
            let Unique(value) = map.next_value()?;
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_has_no_word_for_is_null() {
        let read = parse(r#"{"a": NaN, "b": [-Infinity, Infinity, "NaN -Infinity"], "c": -1}"#);
        let read = read.unwrap();
        assert_eq!(
            read.value,
            json!({"a": null, "b": [null, null, "NaN -Infinity"], "c": -1})
        );
        assert_eq!(read.nulls, 3);
        assert!(parse("{\"a\": Nan}").is_err());
    }

    #[test]
    fn integers_of_any_size_keep_their_digits() {
        let text = r#"[9223372036854775807, 18446744073709551615, 18446744073709551616, -99999999999999999999999, 1e30, "\"12345678901234567890123"]"#;
        let read = parse(text).unwrap().value;
        assert_eq!(read[0], json!(i64::MAX));
        assert_eq!(read[1], json!(u64::MAX));
        assert_eq!(read[2], json!("18446744073709551616"));
        assert_eq!(read[3], json!("-99999999999999999999999"));
        assert_eq!(read[4], json!(1e30));
        assert_eq!(read[5], json!("\"12345678901234567890123"));
    }

    #[test]
    fn what_is_no_integer_is_refused_however_long_it_is() {
        for text in [
            "1234-5678-9012-3456-7890",
            "000000000000000000099999999999999999999",
            "-00000000000000000000012",
            "--12345678901234567890123",
            "12345678901234567890-",
        ] {
            let error = parse(&format!("{{\"a\": 1,\n\"b\": {text}}}"));
            let error = error.map(|read| read.value).unwrap_err();
            assert_eq!(error.line(), 2, "{text}: {error}");
        }
    }

    #[test]
    fn a_key_occurs_once_at_any_depth() {
        assert!(parse(r#"{"a": {"b": 1}, "b": [{"a": 1}]}"#).is_ok());
        for text in [r#"{"a": 1, "a": 2}"#, r#"[{"x": {"a": 1, "\u0061": 1}}]"#] {
            let error = parse(text).map(|read| read.value).unwrap_err().to_string();
            assert!(error.contains("the key `a` occurs twice"), "{error}");
        }
    }

    #[test]
    fn escaped_quotes_end_no_text() {
        let read = parse(r#"{"a": "x\" NaN", "b": NaN, "c": "\\"}"#).unwrap();
        assert_eq!(read.value, json!({"a": "x\" NaN", "b": null, "c": "\\"}));
        assert_eq!(read.nulls, 1);
        assert!(parse("{\"a\": NaN, \"b\": \"x").is_err());
    }
}
