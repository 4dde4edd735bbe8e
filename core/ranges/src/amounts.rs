//! Amounts that are written with their unit: memory and time. A number alone is refused, since nobody knows of what.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes of memory, written `512M`, `32G` or `1T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory(u64);

/// A span of time, written `30s`, `90m`, `4h`, `2d`, or as Slurm writes it, `[D-]HH:MM:SS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

/// Units of memory, in bytes, the largest first.
const MEMORY: [(&str, u64); 4] = [
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
];

/// Units of time, in milliseconds, the largest first.
const TIME: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl Memory {
    /// So many bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// In mebibytes, rounded up: what queues are asked for.
    #[must_use]
    pub const fn mebibytes(self) -> u64 {
        self.0.div_ceil(1 << 20)
    }

    /// Twice as much.
    #[must_use]
    pub const fn doubled(self) -> Self {
        Self(self.0.saturating_mul(2))
    }
}

impl Span {
    /// So long.
    #[must_use]
    pub const fn of(duration: Duration) -> Self {
        Self(duration)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In minutes, rounded up, one at least: what queues are asked for.
    #[must_use]
    pub const fn minutes(self) -> u64 {
        let minutes = self.0.as_secs().div_ceil(60);
        if minutes == 0 { 1 } else { minutes }
    }
}

/// The whole number before a unit.
fn of_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// `[D-]HH:MM:SS`, in milliseconds.
fn of_clock(text: &str) -> Option<u64> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let parts: Vec<u64> = clock
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else {
        return None;
    };
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    hours
        .checked_mul(3600)?
        .checked_add(minutes * 60 + seconds)?
        .checked_mul(1000)
}

/// An amount in the largest unit in which it is whole.
fn written(amount: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fitting = units.iter().find(|(_, unit)| amount.is_multiple_of(*unit));
    let (name, unit) = fitting.copied().unwrap_or(("", 1));
    write!(f, "{}{name}", amount / unit)
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match of_unit(text, &MEMORY) {
            Some(bytes) if bytes > 0 => Ok(Self(bytes)),
            _ => Err(format!(
                "`{text}` is no amount of memory: write `512M`, `32G` or `1T`"
            )),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match of_unit(text, &TIME).or_else(|| of_clock(text)) {
            Some(milliseconds) if milliseconds > 0 => Ok(Self(Duration::from_millis(milliseconds))),
            _ => Err(format!(
                "`{text}` is no span of time: write `90m`, `4h`, `2d` or `1-12:00:00`"
            )),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        written(self.0, &MEMORY, f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        written(self.0.as_millis() as u64, &TIME, f)
    }
}

impl TryFrom<String> for Memory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        memory.to_string()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit() {
        assert_eq!("32G".parse(), Ok(Memory(32 << 30)));
        assert_eq!(Memory(1536 << 20).to_string(), "1536M");
        assert_eq!(Memory((1 << 20) + 1).mebibytes(), 2);
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs());
        assert_eq!(seconds("90m"), Ok(5400));
        assert_eq!(seconds("1-12:00:30"), Ok(129_630));
        assert_eq!(
            "36h".parse::<Span>().map(|span| span.to_string()),
            Ok("36h".to_owned())
        );
        assert_eq!("61s".parse::<Span>().map(Span::minutes), Ok(2));
        for wrong in [
            "32",
            "G",
            "0G",
            "1.5G",
            "32 G",
            "32g",
            "-1G",
            "99999999999T",
        ] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
        for wrong in ["90", "0m", "1:90:00", "1:00", "m", "4 h", "1h30m"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
