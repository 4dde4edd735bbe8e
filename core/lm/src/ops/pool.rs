//! Work on the threads of rayon's pool, for devices whose work the threads do. A GPU's handles want one thread.

use candle_core::Device;

/// Runs `work` on a thread of the pool: from outside of it, every kernel would put the caller to sleep and wake it again.
pub(crate) fn on_pool<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    match device {
        Device::Cpu => rayon::scope(|_| work()),
        _ => work(),
    }
}

/// Two products that do not need one another: while one makes its memory or is too small to be shared out, the other
/// computes.
pub(super) fn side_by_side<A: Send, B: Send>(
    device: &Device,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    match device {
        Device::Cpu => rayon::join(first, second),
        _ => (first(), second()),
    }
}
