//! `strftime_now`, on a day that does not change overnight.

use minijinja::{Error, ErrorKind};

/// `strftime_now(format)`, at midnight of Friday 26 July 2024.
pub(super) fn strftime_now(format: String) -> Result<String, Error> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let text = match chars.next() {
            Some('-') => chars.next().and_then(unpadded),
            Some(code) => padded(code),
            None => None,
        };
        out.push_str(text.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("date format `{format}` is not understood"),
            )
        })?);
    }
    Ok(out)
}

fn padded(code: char) -> Option<&'static str> {
    Some(match code {
        'd' | 'e' => "26",
        'b' | 'h' => "Jul",
        'B' => "July",
        'm' => "07",
        'Y' | 'G' => "2024",
        'y' => "24",
        'C' => "20",
        'a' => "Fri",
        'A' => "Friday",
        'j' => "208",
        'u' | 'w' => "5",
        'U' => "29",
        'V' | 'W' => "30",
        'H' | 'M' | 'S' => "00",
        'I' | 'l' => "12",
        'k' => " 0",
        'p' => "AM",
        'f' => "000000",
        'D' | 'x' => "07/26/24",
        'F' => "2024-07-26",
        'R' => "00:00",
        'T' | 'X' => "00:00:00",
        'c' => "Fri Jul 26 00:00:00 2024",
        // A time without a zone.
        'z' | 'Z' => "",
        'n' => "\n",
        't' => "\t",
        '%' => "%",
        _ => return None,
    })
}

fn unpadded(code: char) -> Option<&'static str> {
    Some(match code {
        'd' | 'e' => "26",
        'm' => "7",
        'y' => "24",
        'j' => "208",
        'I' | 'l' => "12",
        'H' | 'M' | 'S' | 'k' => "0",
        _ => return None,
    })
}
