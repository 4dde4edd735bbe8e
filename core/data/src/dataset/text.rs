//! The text of a file, whatever it is packed in: gzip and zstd are unpacked, byte order marks are no part of it.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use driftgauge_spec::unpacked_name;

use super::DatasetError;
use super::access::{io_error, open};

/// Whether a name says that tabs separate the cells.
pub(super) fn is_tsv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = unpacked_name(&name).to_ascii_lowercase();
    name.ends_with(".tsv") || name.ends_with(".tab")
}

/// The unpacked text of a file, without a byte order mark; UTF-16 is read where such a mark tells it.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn text_of(path: &Path) -> Result<Box<dyn BufRead>, DatasetError> {
    unpacked(path).map_err(|error| io_error(path, error))
}

/// The whole text of a file, as [`text_of`].
///
/// # Errors
/// When the file cannot be read, or is no text.
pub(crate) fn whole_text(path: &Path) -> Result<String, DatasetError> {
    let mut text = String::new();
    text_of(path)?
        .read_to_string(&mut text)
        .map_err(|error| io_error(path, error))?;
    Ok(text)
}

fn unpacked(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = open(path).map_err(|error| match error {
        DatasetError::Io { source, .. } => source,
        other => io::Error::other(other.to_string()),
    })?;
    let mut file = BufReader::new(file);
    let bytes: Box<dyn BufRead> = match file.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        _ => Box::new(file),
    };
    without_mark(bytes)
}

fn without_mark(mut bytes: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let start = bytes.fill_buf()?;
    let wide: Option<fn([u8; 2]) -> u16> = match start {
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
        _ => None,
    };
    let Some(unit) = wide else {
        if start.starts_with(b"\xef\xbb\xbf") {
            bytes.consume(3);
        }
        return Ok(bytes);
    };
    let mut all = Vec::new();
    bytes.read_to_end(&mut all)?;
    let units = all[2..].chunks(2).map(|pair| match *pair {
        [a, b] => unit([a, b]),
        // Half a unit is no text: a lone surrogate is none either.
        _ => 0xd800,
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let text = text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Box::new(Cursor::new(text)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text(bytes: &[u8]) -> Result<String, DatasetError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        whole_text(&path)
    }

    #[test]
    fn packed_text_is_unpacked_by_its_bytes() {
        let said = "first line\nsécond\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(said.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(said.as_bytes(), 1).unwrap();
        assert_eq!(text(&gzip).unwrap(), said);
        assert_eq!(text(&zstd).unwrap(), said);
        // Packed files that were put one after the other are one text.
        assert_eq!(text(&[&gzip[..], &gzip].concat()).unwrap(), said.repeat(2));
        assert_eq!(text(&[&zstd[..], &zstd].concat()).unwrap(), said.repeat(2));
        let torn = text(&gzip[..gzip.len() - 6]).unwrap_err().to_string();
        assert!(torn.contains("cannot read"), "{torn}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(text("\u{feff}k".as_bytes()).unwrap(), "k");
        assert_eq!(text(b"\xff\xfek\x00\xac\x20").unwrap(), "k\u{20ac}");
        assert_eq!(text(b"\xfe\xff\x00k\x20\xac").unwrap(), "k\u{20ac}");
        assert!(text(b"\xff\xfek").is_err());
    }

    #[test]
    fn endings_are_told_whatever_they_are_packed_in() {
        assert!(is_tsv(Path::new("x/a.tsv.zst")));
        assert!(!is_tsv(Path::new("a.csv")));
    }
}
