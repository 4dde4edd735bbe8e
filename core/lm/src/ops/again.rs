//! Values that are made again in the backward pass, once for all that need them, instead of being kept for it.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor};

/// How a value is made again.
pub(super) struct Again {
    make: Box<dyn Fn() -> Result<Tensor> + Send + Sync>,
    made: Mutex<Made>,
}

/// The value while some of those that need it are still to come.
#[derive(Default)]
struct Made {
    value: Option<Tensor>,
    waiting: usize,
}

impl Again {
    pub(super) fn new(make: impl Fn() -> Result<Tensor> + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            made: Mutex::default(),
        }
    }
}

/// A value that a backward pass needs.
pub(crate) enum Kept {
    /// Kept in memory.
    Whole(Tensor),
    /// Made again.
    Again(Waiting),
}

impl Kept {
    pub(super) fn again(again: Arc<Again>) -> Self {
        let mut made = again.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.waiting += 1;
        drop(made);
        Self::Again(Waiting(again))
    }

    /// The value.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(crate) fn tensor(self) -> Result<Tensor> {
        match self {
            Self::Whole(tensor) => Ok(tensor),
            Self::Again(waiting) => waiting.tensor(),
        }
    }
}

/// One of those that need the value.
pub(crate) struct Waiting(Arc<Again>);

impl Waiting {
    fn tensor(self) -> Result<Tensor> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let value = match made.value.take() {
            Some(value) => value,
            None => (self.0.make)()?,
        };
        if made.waiting > 1 {
            made.value = Some(value.clone());
        }
        Ok(value)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.waiting -= 1;
        if made.waiting == 0 {
            made.value = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use candle_core::Device;

    use super::*;

    #[test]
    fn a_value_is_made_once_for_all_and_dropped_by_the_last() {
        let times = Arc::new(AtomicUsize::new(0));
        let counted = times.clone();
        let again = Arc::new(Again::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Tensor::new(5f32, &Device::Cpu)
        }));
        let waiting: Vec<Kept> = (0..3).map(|_| Kept::again(again.clone())).collect();
        for (number, kept) in waiting.into_iter().enumerate() {
            let value = kept.tensor().unwrap().to_scalar::<f32>().unwrap();
            assert_eq!((value, times.load(Ordering::Relaxed)), (5.0, 1));
            assert_eq!(again.made.lock().unwrap().value.is_some(), number < 2);
        }
        // One that is dropped without a look is waited for no longer.
        let (first, second) = (Kept::again(again.clone()), Kept::again(again.clone()));
        drop(second);
        first.tensor().unwrap();
        assert!(again.made.lock().unwrap().value.is_none());
    }
}
