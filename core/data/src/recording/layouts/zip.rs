//! The entries of a zip archive, as inspect writes its logs: stored, deflated, or compressed with zstd.
//!
//! Of the format only what archives of programs have: a central directory, sizes of 64 bits, one disk, no encryption. Sizes and
//! check sums are held against what was read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// One file of an archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    method: u16,
    encrypted: bool,
    sum: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// An open archive.
pub(super) struct Archive {
    file: File,
    /// Its files, as the directory lists them.
    pub(super) entries: Vec<Entry>,
}

fn torn(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Numbers at places of a record, least byte first.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(&self, at: usize) -> io::Result<u16> {
        let bytes = self
            .0
            .get(at..at + 2)
            .ok_or_else(|| torn("the archive is cut off"))?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, at: usize) -> io::Result<u32> {
        Ok(u32::from(self.u16(at)?) | u32::from(self.u16(at + 2)?) << 16)
    }

    fn u64(&self, at: usize) -> io::Result<u64> {
        Ok(u64::from(self.u32(at)?) | u64::from(self.u32(at + 4)?) << 32)
    }
}

impl Archive {
    /// Reads the directory of an archive.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // The record at the end, and a comment of up to 64 KiB behind it.
        let tail_length = length.min(22 + 65_535 + 20);
        file.seek(SeekFrom::Start(length - tail_length))?;
        let mut tail = Vec::new();
        (&file).take(tail_length).read_to_end(&mut tail)?;
        let end = tail
            .windows(4)
            .rposition(|bytes| bytes == b"PK\x05\x06")
            .ok_or_else(|| torn("the archive has no end: it was not written to its end"))?;
        let record = Fields(&tail[end..]);
        let mut count = u64::from(record.u16(10)?);
        let mut size = u64::from(record.u32(12)?);
        let mut start = u64::from(record.u32(16)?);
        // Large archives have a second record, whose place stands before the first.
        if let Some(locator) = end.checked_sub(20).map(|at| &tail[at..end])
            && locator.starts_with(b"PK\x06\x07")
        {
            let place = Fields(locator).u64(8)?;
            let large = read_at(&mut file, place, 56)?;
            if !large.starts_with(b"PK\x06\x06") {
                return Err(torn("the archive's end is damaged"));
            }
            let large = Fields(&large);
            (count, size, start) = (large.u64(32)?, large.u64(40)?, large.u64(48)?);
        }
        if start.checked_add(size).is_none_or(|end| end > length) {
            return Err(torn("the archive's directory lies outside it"));
        }
        let directory = read_at(&mut file, start, size)?;
        let mut entries = Vec::new();
        let mut rest = directory.as_slice();
        for _ in 0..count {
            let (entry, length) = entry(rest)?;
            entries.push(entry);
            rest = &rest[length..];
        }
        Ok(Self { file, entries })
    }

    /// The bytes of an entry, unpacked.
    pub(super) fn read(&mut self, entry: &Entry) -> io::Result<Vec<u8>> {
        let wrong = |what: String| torn(&format!("`{}` in the archive {what}", entry.name));
        if entry.encrypted {
            return Err(wrong("is encrypted".to_owned()));
        }
        let header = read_at(&mut self.file, entry.offset, 30)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(wrong("is not where the directory says".to_owned()));
        }
        let header = Fields(&header);
        let before = 30 + u64::from(header.u16(26)?) + u64::from(header.u16(28)?);
        let packed = read_at(&mut self.file, entry.offset + before, entry.packed)?;
        // One byte more than there should be tells that there is more.
        let limit = entry.size.saturating_add(1);
        let mut bytes = Vec::new();
        match entry.method {
            0 => bytes = packed,
            8 => {
                flate2::read::DeflateDecoder::new(packed.as_slice())
                    .take(limit)
                    .read_to_end(&mut bytes)?;
            }
            93 => {
                zstd::Decoder::new(packed.as_slice())?
                    .take(limit)
                    .read_to_end(&mut bytes)?;
            }
            other => {
                return Err(wrong(format!(
                    "is compressed by method {other}; stored, deflated and zstd entries are read"
                )));
            }
        }
        let mut sum = flate2::Crc::new();
        sum.update(&bytes);
        if bytes.len() as u64 != entry.size || sum.sum() != entry.sum {
            return Err(wrong("is damaged".to_owned()));
        }
        Ok(bytes)
    }
}

fn read_at(file: &mut File, place: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(torn("the archive is cut off")),
    }
}

/// The first entry of a directory, and its length there.
fn entry(directory: &[u8]) -> io::Result<(Entry, usize)> {
    if !directory.starts_with(b"PK\x01\x02") {
        return Err(torn("the archive's directory is damaged"));
    }
    let record = Fields(directory);
    let (name, extra) = (usize::from(record.u16(28)?), usize::from(record.u16(30)?));
    let length = 46 + name + extra + usize::from(record.u16(32)?);
    let cut = || torn("the archive's directory is cut off");
    let bytes = directory.get(46..46 + name).ok_or_else(cut)?;
    let mut entry = Entry {
        name: String::from_utf8_lossy(bytes).into_owned(),
        method: record.u16(10)?,
        encrypted: record.u16(8)? & 1 == 1,
        sum: record.u32(16)?,
        packed: u64::from(record.u32(20)?),
        size: u64::from(record.u32(24)?),
        offset: u64::from(record.u32(42)?),
    };
    let mut extras = directory.get(46 + name..length).ok_or_else(cut)?;
    while extras.len() >= 4 {
        let field = Fields(extras);
        let (id, size) = (field.u16(0)?, usize::from(field.u16(2)?));
        if id == 1 {
            // Numbers that do not fit in 32 bits, in this order, where they are marked as such.
            let mut at = 4;
            for number in [&mut entry.size, &mut entry.packed, &mut entry.offset] {
                if *number == u64::from(u32::MAX) {
                    *number = field.u64(at)?;
                    at += 8;
                }
            }
        }
        extras = extras.get(4 + size..).unwrap_or_default();
    }
    if directory.len() < length {
        return Err(cut());
    }
    Ok((entry, length))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive of one entry, as Python's `zipfile` writes it.
    pub(crate) fn archive(entries: &[(&str, u16, &[u8])]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, method, bytes) in entries {
            let packed = match method {
                8 => {
                    use std::io::Write;
                    let level = flate2::Compression::fast();
                    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                    encoder.write_all(bytes).unwrap();
                    encoder.finish().unwrap()
                }
                93 => zstd::encode_all(*bytes, 1).unwrap(),
                _ => bytes.to_vec(),
            };
            let mut sum = flate2::Crc::new();
            sum.update(bytes);
            let mut common = Vec::new();
            for number in [0, *method, 0, 0] {
                common.extend(number.to_le_bytes());
            }
            for number in [sum.sum(), packed.len() as u32, bytes.len() as u32] {
                common.extend(number.to_le_bytes());
            }
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0; 2]);
            let offset = out.len() as u32;
            out.extend(b"PK\x03\x04\x14\x00");
            out.extend(&common);
            out.extend(name.as_bytes());
            out.extend(&packed);
            directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(offset.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let start = out.len() as u32;
        out.extend(&directory);
        out.extend(b"PK\x05\x06\x00\x00\x00\x00");
        for _ in 0..2 {
            out.extend((entries.len() as u16).to_le_bytes());
        }
        out.extend((directory.len() as u32).to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend([0; 2]);
        out
    }

    fn opened(bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a.eval");
        std::fs::write(&path, bytes)?;
        let mut archive = Archive::open(&path)?;
        let entries = archive.entries.clone();
        entries.iter().map(|entry| archive.read(entry)).collect()
    }

    #[test]
    fn entries_are_unpacked_and_held_against_their_sums() {
        let text = "some text, some text, some text".repeat(20);
        let bytes = archive(&[
            ("a", 0, text.as_bytes()),
            ("b/c.json", 8, text.as_bytes()),
            ("d", 93, text.as_bytes()),
        ]);
        let read = opened(&bytes).unwrap();
        assert!(read.iter().all(|entry| entry == text.as_bytes()));
        assert_eq!(read.len(), 3);
        let mut damaged = bytes.clone();
        damaged[40] ^= 1;
        assert!(
            opened(&damaged)
                .unwrap_err()
                .to_string()
                .contains("`a` in the archive is damaged")
        );
        let cut = opened(&bytes[..bytes.len() - 30]).unwrap_err().to_string();
        assert!(cut.contains("no end"), "{cut}");
        let other = opened(&archive(&[("a", 12, b"x")]))
            .unwrap_err()
            .to_string();
        assert!(other.contains("method 12"), "{other}");
        assert!(opened(b"").is_err());
    }

    #[test]
    fn numbers_stand_least_byte_first() {
        let fields = Fields(&[9, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(fields.u16(1).unwrap(), 0x0201);
        assert_eq!(fields.u32(1).unwrap(), 0x0403_0201);
        assert_eq!(fields.u64(1).unwrap(), 0x0807_0605_0403_0201);
        assert!(fields.u64(2).is_err());
    }

    /// An archive as APPNOTE.TXT 4.3.9 and 4.5.3 have it for sizes beyond 32 bits: with extra fields, comments, and text before it.
    fn large(text: &[u8], places: u64) -> Vec<u8> {
        let mut sum = flate2::Crc::new();
        sum.update(text);
        let (size, all) = (text.len() as u64, u32::MAX.to_le_bytes());
        let mut out = b"hello".to_vec();
        let offset = out.len() as u64;
        out.extend(b"PK\x03\x04\x2d\0\0\0\0\0\0\0\0\0");
        out.extend(sum.sum().to_le_bytes());
        out.extend((size as u32).to_le_bytes());
        out.extend((size as u32).to_le_bytes());
        out.extend([1, 0, 4, 0]);
        out.extend(b"a\x02\0\0\0");
        out.extend(text);
        let start = out.len() as u64;
        for inside in [true, false] {
            out.extend(b"PK\x01\x02\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
            out.extend(sum.sum().to_le_bytes());
            out.extend(all);
            out.extend(all);
            // The second entry has its place in 32 bits.
            let length = if inside { 24_u16 } else { 16 };
            out.extend([1, 0]);
            out.extend((4 + 2 + 4 + length).to_le_bytes());
            out.extend([3, 0]);
            out.extend([0; 8]);
            out.extend(if inside {
                all
            } else {
                (offset as u32).to_le_bytes()
            });
            out.extend(b"a\x02\0\x02\0xx\x01\0");
            out.extend(length.to_le_bytes());
            out.extend(size.to_le_bytes());
            out.extend(size.to_le_bytes());
            if inside {
                out.extend(offset.to_le_bytes());
            }
            out.extend(b"abc");
        }
        let length = out.len() as u64 - start;
        let second = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44_u64.to_le_bytes());
        out.extend([0; 12]);
        for number in [2, 2, length, start + places] {
            out.extend(number.to_le_bytes());
        }
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend(second.to_le_bytes());
        out.extend([1, 0, 0, 0]);
        out.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff");
        out.extend(all);
        out.extend(all);
        // The longest comment there can be.
        out.extend(u16::MAX.to_le_bytes());
        out.extend([b' '; 65_535]);
        out
    }

    #[test]
    fn sizes_beyond_32_bits_are_read_where_they_stand() {
        let text = b"some text that is stored as it is";
        assert_eq!(opened(&large(text, 0)).unwrap(), [text, text]);
        let outside = opened(&large(text, 1 << 40)).unwrap_err().to_string();
        assert!(outside.contains("lies outside it"), "{outside}");
        let mut damaged = large(text, 0);
        let at = damaged
            .windows(4)
            .position(|bytes| bytes == b"PK\x06\x06")
            .unwrap();
        damaged[at] = 0;
        let damaged = opened(&damaged).unwrap_err().to_string();
        assert!(damaged.contains("end is damaged"), "{damaged}");
    }
}
