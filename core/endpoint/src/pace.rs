//! The pace of requests: evenly spaced when the spec sets a rate, and held when the server asks for a pause.

use std::time::{Duration, Instant};

/// When the next request may start.
#[derive(Debug)]
pub(crate) struct Pace {
    next: Instant,
    interval: Duration,
}

impl Pace {
    /// At most so many requests a minute, none of them in bursts; `None` sets no rate.
    pub(crate) fn new(requests_per_minute: Option<u32>, now: Instant) -> Self {
        let interval = requests_per_minute
            .map_or(Duration::ZERO, |rate| Duration::from_secs(60) / rate.max(1));
        Self {
            next: now,
            interval,
        }
    }

    /// Takes the next slot; the caller waits until then.
    pub(crate) fn reserve(&mut self, now: Instant) -> Instant {
        let slot = self.next.max(now);
        self.next = slot + self.interval;
        slot
    }

    /// Starts nothing before `until`: the server asked every client for a pause, not one request.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.next = self.next.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spaces_requests_evenly() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(30), start);
        let slots: Vec<_> = (0..3).map(|_| pace.reserve(start) - start).collect();
        assert_eq!(slots, [0, 2, 4].map(Duration::from_secs));
        // Time that nobody used is not saved up for a burst.
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.reserve(later), later);
        assert_eq!(pace.reserve(later), later + Duration::from_secs(2));
    }

    #[test]
    fn a_pause_holds_everyone() {
        let start = Instant::now();
        let mut pace = Pace::new(None, start);
        assert_eq!(pace.reserve(start), start);
        pace.hold(start + Duration::from_secs(7));
        assert_eq!(pace.reserve(start), start + Duration::from_secs(7));
    }
}
