//! Nothing but tests: `docs/report.md` tells how a report is pinned, and they do it.
