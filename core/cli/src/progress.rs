//! Shows what happens: bars on a terminal, plain lines otherwise, and `events.jsonl` in any case.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use driftgauge_graph::event::{Event, Observer, Outcome};
use driftgauge_record::files::events::EventLog;
use driftgauge_record::{visible, visible_line};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Without a terminal, a node reports its progress this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The observer of a run.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    state: Mutex<State>,
}

struct State {
    log: EventLog,
    bars: HashMap<String, ProgressBar>,
    last_line: HashMap<String, Instant>,
}

impl Progress {
    /// Reports to standard error and appends to the events file.
    pub(crate) fn new(events: &Path) -> Self {
        Self {
            bars: std::io::stderr().is_terminal().then(MultiProgress::new),
            state: Mutex::new(State {
                log: EventLog::open(events),
                bars: HashMap::new(),
                last_line: HashMap::new(),
            }),
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // A failure to draw is no failure of the run.
            Some(bars) => drop(bars.println(&*visible(text))),
            None => eprintln!("{}", visible(text)),
        }
    }

    fn bar(&self, state: &mut State, node: &str, total: u64) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = state.bars.entry(node.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(total));
            if let Ok(style) =
                ProgressStyle::with_template("  {msg:<48} {bar:24} {pos}/{len} {eta}")
            {
                bar.set_style(style);
            }
            bar
        });
        Some(bar.clone())
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        if let Some(record) = event.record() {
            state.log.append(record);
        }
        match event {
            Event::Started { node } => {
                if self.bars.is_none() {
                    self.line(&format!("  start   {node}"));
                }
            }
            // In the log only: what it serves is shown as started.
            Event::Loaded { .. } => {}
            Event::Progress {
                node,
                done,
                total,
                detail,
            } => {
                if let Some(bar) = self.bar(&mut state, node, *total) {
                    bar.set_length(*total);
                    bar.set_position(*done);
                    let message = if detail.is_empty() {
                        node.clone()
                    } else {
                        format!("{node} ({detail})")
                    };
                    bar.set_message(visible_line(&message).into_owned());
                } else {
                    let now = Instant::now();
                    let last = state.last_line.entry(node.clone()).or_insert(now);
                    if now.duration_since(*last) >= PLAIN_INTERVAL {
                        *last = now;
                        self.line(&format!("  ...     {node}: {done}/{total} {detail}"));
                    }
                }
            }
            Event::Note { node, text } => self.line(&format!("  note    {node}: {text}")),
            Event::Ended {
                node,
                outcome,
                seconds,
                error,
            } => {
                if let Some(bar) = state.bars.remove(node) {
                    bar.finish_and_clear();
                }
                match outcome {
                    Outcome::Ran => self.line(&format!("  done    {node} ({seconds:.1} s)")),
                    // A model that is simply there is no news.
                    Outcome::Reused => {}
                    Outcome::Failed => {
                        self.line(&format!(
                            "  FAILED  {node}: {}",
                            error.as_deref().unwrap_or("unknown")
                        ));
                    }
                    Outcome::Skipped => {
                        self.line(&format!(
                            "  skipped {node}: {}",
                            error.as_deref().unwrap_or("unknown")
                        ));
                    }
                }
            }
        }
    }
}
