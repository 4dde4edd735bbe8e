//! Whether an address that a plugin names is memory at all. The system's list of mappings tells; where there is none, nothing
//! is refused.

/// The memory of this process, as it is mapped now.
pub(crate) struct Maps(Option<Vec<Range>>);

struct Range {
    start: usize,
    end: usize,
    read: bool,
    run: bool,
}

impl Maps {
    pub(crate) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/maps").ok();
        Self(text.map(|text| text.lines().filter_map(range).collect()))
    }

    /// Whether `len` bytes from `address` can be read.
    pub(crate) fn readable(&self, address: usize, len: usize) -> bool {
        self.covers(address, len, |range| range.read)
    }

    /// Whether code lies at `address`.
    pub(crate) fn executable(&self, address: usize) -> bool {
        self.covers(address, 1, |range| range.run)
    }

    fn covers(&self, address: usize, len: usize, fits: impl Fn(&Range) -> bool) -> bool {
        let Some(ranges) = &self.0 else { return true };
        let Some(end) = address.checked_add(len) else {
            return false;
        };
        let mut from = address;
        // The list is in order; neighbours may share the bytes.
        for range in ranges.iter().filter(|range| fits(range)) {
            if range.start <= from && from < range.end {
                from = range.end;
            }
        }
        from >= end && from > address
    }
}

/// `55d0-55f0 r-xp ...`
fn range(line: &str) -> Option<Range> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    Some(Range {
        start: usize::from_str_radix(start, 16).ok()?,
        end: usize::from_str_radix(end, 16).ok()?,
        read: rights.starts_with('r'),
        run: rights.contains('x'),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_known() {
        let text = vec![1_u8; 1 << 20];
        let maps = Maps::now();
        let at = text.as_ptr() as usize;
        assert!(maps.readable(at, text.len()));
        assert!(!maps.readable(at, 1 << 46));
        assert!(!maps.readable(8, 8) && !maps.readable(usize::MAX, 8));
        assert!(maps.executable(range as fn(&str) -> _ as usize));
        assert!(!maps.executable(at));
    }
}
