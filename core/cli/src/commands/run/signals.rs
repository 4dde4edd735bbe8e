//! Who wants a run to end before it has.

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// A person, or the system.
    Stop,
    /// The queue that the run is a job of, some time before its limit.
    TimeIsOver,
}

/// Returns when Ctrl-C is pressed, or someone asks the process to end.
pub(super) async fn told_to_stop() -> std::io::Result<Told> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        let mut time = signal(SignalKind::user_defined1())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Told::Stop),
            _ = terminated.recv() => Ok(Told::Stop),
            _ = hung_up.recv() => Ok(Told::Stop),
            _ = time.recv() => Ok(Told::TimeIsOver),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| Told::Stop)
}
