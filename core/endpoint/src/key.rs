//! The key of a server: read from the environment, sent in one header, written nowhere.

use std::fmt;

use reqwest::header::HeaderValue;

use crate::EndpointError;

/// What stands in place of a key that a server repeats.
const REDACTED: &str = "[key]";

/// Keys shorter than this are stand-ins for servers that want none (`none`, `EMPTY`); as words they may well be part of
/// an answer, and are no secret there.
const SECRET_LENGTH: usize = 8;

/// A key, or none.
#[derive(Clone)]
pub(crate) struct ApiKey(Option<String>);

impl ApiKey {
    /// Reads the variable of that name; no name means no key.
    pub(crate) fn from_env(name: Option<&str>) -> Result<Self, EndpointError> {
        let Some(name) = name else {
            return Ok(Self(None));
        };
        let key = std::env::var(name).unwrap_or_default().trim().to_owned();
        if key.is_empty() {
            return Err(EndpointError::NoKey(name.to_owned()));
        }
        if HeaderValue::from_str(&key).is_err() {
            return Err(EndpointError::BadKey(name.to_owned()));
        }
        Ok(Self(Some(key)))
    }

    /// The `Authorization` header, marked so that no library logs it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.as_ref()?)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// What a server said, without the key.
    pub(crate) fn redact(&self, text: String) -> String {
        match &self.0 {
            Some(key) if key.len() >= SECRET_LENGTH && text.contains(key) => {
                text.replace(key, REDACTED)
            }
            _ => text,
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { REDACTED } else { "none" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_nowhere() {
        let key = ApiKey(Some("sk-0123456789".to_owned()));
        assert_eq!(format!("{key:?}"), "[key]");
        assert_eq!(format!("{:?}", key.header().unwrap()), "Sensitive");
        let said = key.redact("wrong key: sk-0123456789".to_owned());
        assert_eq!(said, "wrong key: [key]");
        let stand_in = ApiKey(Some("EMPTY".to_owned()));
        assert_eq!(stand_in.redact("EMPTY".to_owned()), "EMPTY");
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = ApiKey::from_env(Some("DRIFTGAUGE_NO_SUCH_KEY")).unwrap_err();
        assert!(error.to_string().contains("`DRIFTGAUGE_NO_SUCH_KEY`"));
        assert!(ApiKey::from_env(None).unwrap().header().is_none());
    }
}
