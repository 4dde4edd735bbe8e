//! Scores that are given as arrays, over the ABI or through a pipe. Nothing of them is believed: pointers and lengths are looked at
//! before what they name is read, and what was read becomes scores only when it fits the samples that were shown ([`crate::seen`]).
#![expect(unsafe_code, reason = "reads arrays of plugins through raw pointers")]

use std::sync::{Mutex, PoisonError};

use crate::ffi::{DgScores, DgStr, read_prefixed};
use crate::limits;
use crate::texts::TextList;
use crate::wire::{ScoreKind, ScoreValues};

/// Scores as they were given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Id of the scalar.
    pub id: String,
    /// Condition.
    pub condition: String,
    /// What kind of number.
    pub kind: ScoreKind,
    /// A value for each, or none.
    pub values: ScoreValues,
    /// Whose they are.
    pub of: Of,
}

/// Which prompts scores are of.
#[derive(Debug, Clone, PartialEq)]
pub enum Of {
    /// Those of the first numbers, as many as there are values.
    First,
    /// Those of these numbers.
    Prompts(Vec<u32>),
    /// Those of these ids.
    Ids(TextList),
}

impl Given {
    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = match &self.of {
            Of::First => 0,
            Of::Prompts(numbers) => 4 * numbers.len(),
            Of::Ids(ids) => ids.bytes(),
        };
        self.id.len() + self.condition.len() + 9 * self.values.len() + of
    }
}

/// Takes what is given until there is too much of it, or something is wrong with it.
#[derive(Debug)]
pub struct Taken {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    given: Vec<Given>,
    bytes: usize,
    problem: Option<String>,
}

impl Taken {
    /// Takes at most so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            inner: Mutex::default(),
        }
    }

    /// Takes scores, or what is wrong with them; whether they were taken. After the first problem nothing more is.
    pub fn add(&self, given: Result<Given, String>) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner {
            given: all,
            bytes,
            problem,
        } = &mut *inner;
        if problem.is_some() {
            return false;
        }
        let more = given.and_then(|given| {
            *bytes = bytes.saturating_add(given.bytes());
            if all.len() == limits::SCALARS {
                return Err(format!(
                    "more than {} lists of scores are given",
                    limits::SCALARS
                ));
            }
            if *bytes > self.most {
                return Err(format!("scores of more than {} bytes are given", self.most));
            }
            Ok(given)
        });
        match more {
            Ok(given) => all.push(given),
            Err(found) => *problem = Some(found),
        }
        problem.is_none()
    }

    /// All that was given.
    ///
    /// # Errors
    /// What was wrong with it first.
    pub fn take(&self) -> Result<Vec<Given>, String> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let given = std::mem::take(&mut inner.given);
        // What comes later came too late.
        match inner
            .problem
            .replace("the result is given already".to_owned())
        {
            None => Ok(given),
            Some(problem) => Err(problem),
        }
    }
}

/// Copies the arrays that a plugin names. `shown` samples are the most that they can be of, and `readable` says whether so many
/// bytes from an address are memory.
///
/// # Errors
/// What cannot be read, by field.
///
/// # Safety
/// What is `readable` must be so until the end of the call.
pub(crate) unsafe fn read(
    scores: *const DgScores,
    shown: u64,
    readable: &dyn Fn(usize, usize) -> bool,
) -> Result<Given, String> {
    if !is_array(scores, 1, readable) {
        return Err(format!("the `dg_scores` at {scores:p} is no memory"));
    }
    // SAFETY: as many bytes as the first version has are readable.
    let size = unsafe { scores.cast::<u32>().read() };
    // SAFETY: the first version of the structure is what we know; a longer one begins with it.
    let scores = match unsafe { read_prefixed(scores) } {
        Some(read) if size as usize >= size_of::<DgScores>() => read,
        _ => return Err(format!("a `dg_scores` states a `struct_size` of {size}")),
    };
    let n = scores.len;
    if n as u64 > shown {
        return Err(format!(
            "scores have the `len` {n}, and {shown} samples were shown"
        ));
    }
    let text = |name: &str, text: DgStr| {
        let sound = text.len <= limits::ID && is_array(text.ptr, text.len, readable);
        // SAFETY: as many bytes are readable.
        let read = sound.then(|| unsafe { text.text() }).flatten();
        read.map(str::to_owned).ok_or_else(|| {
            format!(
                "`{name}` of scores is no text of at most {} bytes",
                limits::ID
            )
        })
    };
    let (id, condition) = (text("id", scores.id)?, text("condition", scores.condition)?);
    let no_array = |name: &str| {
        format!("`{name}` of scores `{id}` of condition `{condition}` is no array of {n}")
    };
    let kind = match scores.binary {
        0 => ScoreKind::Real,
        1 => ScoreKind::Binary,
        odd => {
            return Err(format!(
                "`binary` of scores `{id}` is {odd}, where 0 and 1 belong"
            ));
        }
    };
    // SAFETY: by the contract above, for each of these.
    let arrays = unsafe {
        (
            array(scores.values, n, readable).ok_or_else(|| no_array("values"))?,
            optional(scores.present, n, readable).ok_or_else(|| no_array("present"))?,
            optional(scores.prompts, n, readable).ok_or_else(|| no_array("prompts"))?,
            optional(scores.sample_ids, n, readable).ok_or_else(|| no_array("sample_ids"))?,
        )
    };
    let (values, present, prompts, sample_ids) = arrays;
    // Zeros and ones are not copied as numbers first: of a million, those would be eight megabytes.
    let values = ScoreValues::of_given(values, present, kind == ScoreKind::Binary);
    let values =
        values.map_err(|fault| format!("scores `{id}` of condition `{condition}` {fault}"))?;
    let of = match (prompts, sample_ids) {
        (Some(_), Some(_)) => {
            return Err(format!(
                "scores `{id}` name both `prompts` and `sample_ids`"
            ));
        }
        (Some(numbers), None) => Of::Prompts(numbers.to_vec()),
        (None, None) => Of::First,
        (None, Some(texts)) => {
            let mut ids = TextList::default();
            for text in texts {
                let sound = text.len <= limits::TEXT && is_array(text.ptr, text.len, readable);
                // SAFETY: as many bytes are readable.
                let read = sound.then(|| unsafe { text.text() }).flatten();
                ids.push(read.ok_or_else(|| no_array("sample_ids"))?);
            }
            Of::Ids(ids)
        }
    };
    Ok(Given {
        id,
        condition,
        kind,
        values,
        of,
    })
}

/// Whether `n` items lie at an address; none lie anywhere.
fn is_array<T>(at: *const T, n: usize, readable: &dyn Fn(usize, usize) -> bool) -> bool {
    let bytes = n.checked_mul(size_of::<T>());
    let bytes = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
    match bytes {
        Some(0) => true,
        Some(bytes) => !at.is_null() && at.is_aligned() && readable(at as usize, bytes),
        None => false,
    }
}

/// # Safety
/// As for [`read`]; the array may be looked at as long as it is `readable`.
unsafe fn array<'a, T: Copy>(
    at: *const T,
    n: usize,
    readable: &dyn Fn(usize, usize) -> bool,
) -> Option<&'a [T]> {
    if !is_array(at, n, readable) {
        return None;
    }
    if n == 0 {
        return Some(&[]);
    }
    // SAFETY: not null, aligned, and memory; any bytes are a value of the types that this is used for.
    Some(unsafe { std::slice::from_raw_parts(at, n) })
}

/// An array that may be left out: `Some(None)` where it is.
///
/// # Safety
/// As for [`array()`].
#[expect(
    clippy::option_option,
    reason = "no array at all, and none that can be read"
)]
unsafe fn optional<'a, T: Copy>(
    at: *const T,
    n: usize,
    readable: &dyn Fn(usize, usize) -> bool,
) -> Option<Option<&'a [T]>> {
    if at.is_null() {
        return Some(None);
    }
    // SAFETY: by the contract above.
    unsafe { array(at, n, readable) }.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 3] = [1.0, 0.0, 0.5];

    fn sound() -> DgScores {
        DgScores {
            struct_size: size_of::<DgScores>() as u32,
            binary: 0,
            id: DgStr::new("rate"),
            condition: DgStr::new("default"),
            len: 3,
            values: VALUES.as_ptr(),
            present: std::ptr::null(),
            prompts: std::ptr::null(),
            sample_ids: std::ptr::null(),
        }
    }

    fn read_it(scores: &DgScores) -> Result<Given, String> {
        // SAFETY: the arrays of these tests are there, or refused before they are read.
        unsafe { read(scores, 3, &|_, _| true) }
    }

    #[test]
    fn arrays_are_copied() {
        let ids = ["a", "", "bücher"].map(DgStr::new);
        let prompts = [2_u32, 0, 1];
        let present = [1_u8, 0, 1];
        let first = read_it(&sound()).unwrap();
        assert_eq!(first.values, VALUES.map(Some));
        assert_eq!(first.of, Of::First);
        let numbered = DgScores {
            prompts: prompts.as_ptr(),
            present: present.as_ptr(),
            binary: 1,
            ..sound()
        };
        let given = read_it(&numbered).unwrap();
        assert_eq!(given.of, Of::Prompts(prompts.to_vec()));
        assert_eq!(given.values, [Some(1.0), None, Some(0.5)]);
        let named = DgScores {
            sample_ids: ids.as_ptr(),
            ..sound()
        };
        let ids = TextList::from_iter(["a", "", "bücher"]);
        assert_eq!(read_it(&named).unwrap().of, Of::Ids(ids));
        let none = DgScores {
            len: 0,
            values: std::ptr::null(),
            ..sound()
        };
        assert!(read_it(&none).unwrap().values.is_empty());
    }

    #[test]
    fn what_cannot_be_an_array_is_not_read() {
        let odd = VALUES.as_ptr().cast::<u8>().wrapping_add(1);
        let wrong = |change: &dyn Fn(&mut DgScores)| {
            let mut scores = sound();
            change(&mut scores);
            read_it(&scores).unwrap_err()
        };
        for (field, error) in [
            ("`values`", wrong(&|s| s.values = std::ptr::null())),
            ("`values`", wrong(&|s| s.values = odd.cast())),
            ("`prompts`", wrong(&|s| s.prompts = odd.cast())),
            ("`len`", wrong(&|s| s.len = usize::MAX)),
            ("`len`", wrong(&|s| s.len = 4)),
            ("`id`", wrong(&|s| s.id.ptr = std::ptr::null())),
            ("`binary`", wrong(&|s| s.binary = 2)),
            ("`struct_size`", wrong(&|s| s.struct_size = 72)),
        ] {
            assert!(error.contains(field), "{field}: {error}");
        }
        let scores = sound();
        // SAFETY: nothing is readable, so nothing is read.
        let error = unsafe { read(&raw const scores, 3, &|_, _| false) }.unwrap_err();
        assert!(error.contains("is no memory"), "{error}");
    }

    #[test]
    fn only_so_much_is_taken() {
        let given = || read_it(&sound());
        let taken = Taken::new(100);
        assert!(taken.add(given()) && taken.add(given()));
        assert!(!taken.add(given()));
        assert!(taken.take().unwrap_err().contains("more than 100 bytes"));
        let taken = Taken::new(usize::MAX);
        assert!(taken.add(given()));
        assert_eq!(taken.take().map(|all| all.len()), Ok(1));
        // Nobody would look at it.
        assert!(!taken.add(given()));
    }
}
