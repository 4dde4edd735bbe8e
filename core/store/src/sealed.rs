//! Small texts with their digest in a last line, so that a byte that changed is noticed by whoever reads them.

use std::fs;
use std::path::Path;

use crate::Digest;

/// The text with a line behind it that tells its digest.
pub(crate) fn seal(text: &str) -> String {
    format!("{text}\n{}", seal_of(text))
}

/// The text without its seal; `None` when either changed.
pub(crate) fn open(sealed: &str) -> Option<&str> {
    let (text, _) = sealed.strip_suffix('\n')?.rsplit_once('\n')?;
    (sealed.get(text.len() + 1..)? == seal_of(text)).then_some(text)
}

/// The text of a sealed file; `None` when it is not there, or not what was written.
pub(crate) fn read(path: &Path) -> Option<String> {
    open(&fs::read_to_string(path).ok()?).map(str::to_owned)
}

fn seal_of(text: &str) -> String {
    format!("{{\"blake3\":\"{}\"}}\n", Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_of_any_bit_breaks_the_seal() {
        let sealed = seal("{\"a\": [1, 2.5]}");
        assert_eq!(open(&sealed), Some("{\"a\": [1, 2.5]}"));
        for byte in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[byte] ^= 1 << bit;
                let flipped = String::from_utf8(bytes);
                assert!(
                    flipped.is_err() || flipped.is_ok_and(|text| open(&text).is_none()),
                    "bit {bit} of byte {byte}"
                );
            }
        }
        assert_eq!(open(""), None);
        assert_eq!(open("{}"), None);
    }
}
