//! Structures that say how long they are: one of another version is read as far as both sides know it.

use super::{DgHost, DgMetricVtable, DgPlugin, DgScores};

/// A structure that starts with its own size and may be shorter or longer on the other side.
///
/// # Safety
/// Implementors are `#[repr(C)]`, start with a `u32` size, and all-zero bytes are a valid value of them.
pub unsafe trait SizePrefixed: Copy {
    /// Where its fields end: a structure of an older version ends at one of these.
    const ENDS: &'static [usize];
}

/// Where the fields end of a structure that begins with two `u32` and goes on with `N - 1` pointers.
const fn pointers<const N: usize>() -> [usize; N] {
    let mut ends = [8; N];
    let mut place = 1;
    while place < N {
        ends[place] = 8 + place * size_of::<usize>();
        place += 1;
    }
    ends
}

// SAFETY: repr(C), size first; zero is null pointers and absent functions.
unsafe impl SizePrefixed for DgHost {
    const ENDS: &'static [usize] = &pointers::<20>();
}
// SAFETY: as above.
unsafe impl SizePrefixed for DgMetricVtable {
    const ENDS: &'static [usize] = &pointers::<7>();
}
// SAFETY: as above; the arrays are pointers, which may be null.
unsafe impl SizePrefixed for DgScores {
    const ENDS: &'static [usize] = &[size_of::<Self>()];
}
// SAFETY: as above.
unsafe impl SizePrefixed for DgPlugin {
    const ENDS: &'static [usize] = &[8, 12, 16, size_of::<Self>()];
}

/// The size that a structure of the other side states, if it can be one: it ends where a field does, or is a newer one.
///
/// # Errors
/// With the size that it states.
///
/// # Safety
/// `ptr` must point to a readable `u32`.
pub unsafe fn stated_size<T: SizePrefixed>(ptr: *const T) -> Result<usize, u32> {
    // SAFETY: by the contract above.
    let stated = unsafe { ptr.cast::<u32>().read() };
    let size = stated as usize;
    let newer = size > size_of::<T>() && size.is_multiple_of(size_of::<u32>()) && size <= 1 << 16;
    if newer || T::ENDS.contains(&size) {
        Ok(size)
    } else {
        Err(stated)
    }
}

/// Copies `min(struct_size, own size)` bytes of a structure of the other side into a zeroed one of ours, so that what
/// the other side does not know reads as absent. Returns `None` for a null pointer.
///
/// # Safety
/// `ptr` must be null or point to as many readable bytes as its first `u32` says.
#[must_use]
pub unsafe fn read_prefixed<T: SizePrefixed>(ptr: *const T) -> Option<T> {
    if ptr.is_null() {
        return None;
    }
    // SAFETY: every size-prefixed structure has at least its size.
    let size = unsafe { ptr.cast::<u32>().read() } as usize;
    let mut own = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: both sides have at least the bytes copied; zero bytes are valid for the rest.
    unsafe {
        std::ptr::copy_nonoverlapping(
            ptr.cast::<u8>(),
            own.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        );
        Some(own.assume_init())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_end_where_fields_end() {
        assert_eq!(DgHost::ENDS.last(), Some(&size_of::<DgHost>()));
        assert_eq!(
            DgMetricVtable::ENDS.last(),
            Some(&size_of::<DgMetricVtable>())
        );
        for (size, sound) in [
            (0, false),
            (8, true),
            (12, true),
            (20, false),
            (24, true),
            (28, true),
        ] {
            let plugin = DgPlugin {
                struct_size: size,
                abi_minor: 0,
                n_metrics: 0,
                reserved: 0,
                metrics: std::ptr::null(),
            };
            // SAFETY: a structure of ours.
            let stated = unsafe { stated_size(&raw const plugin) };
            assert_eq!(stated.is_ok(), sound, "{size}");
        }
    }

    #[test]
    fn an_older_shorter_structure_reads_as_absent_features() {
        let plugin = DgPlugin {
            struct_size: 8,
            abi_minor: 7,
            n_metrics: 3,
            reserved: 0,
            metrics: std::ptr::null(),
        };
        // SAFETY: `struct_size` is smaller than the structure.
        let read = unsafe { read_prefixed(&raw const plugin) }.unwrap();
        assert_eq!((read.abi_minor, read.n_metrics), (7, 0));
    }
}
