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

use crate::commands::spans::seconds;
use crate::eta::Eta;

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
    eta: Eta,
    /// The line of what is left, below all bars.
    whole: Option<ProgressBar>,
}

impl State {
    /// How long the rest takes, in words.
    fn left(&self) -> Option<String> {
        let left = self.eta.seconds()?;
        Some(format!("about {} left", seconds(left)))
    }
}

impl Progress {
    /// Reports to standard error and appends to the events file.
    pub(crate) fn new(events: &Path, eta: Eta) -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        let whole = bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("  {msg}");
            let whole = bars.add(ProgressBar::new(1));
            style.map_or(whole.clone(), |style| whole.with_style(style))
        });
        Self {
            bars,
            state: Mutex::new(State {
                log: EventLog::open(events),
                bars: HashMap::new(),
                last_line: HashMap::new(),
                eta,
                whole,
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
            let bar = match &state.whole {
                Some(whole) => bars.insert_before(whole, ProgressBar::new(total)),
                None => bars.add(ProgressBar::new(total)),
            };
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
                state.eta.goes_on(node, *done, *total);
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
                        let left = in_brackets(state.left());
                        self.line(&format!("  ...     {node}: {done}/{total} {detail}{left}"));
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
                let took = (*outcome == Outcome::Ran).then_some(*seconds);
                state.eta.ends(node, took);
                let left = in_brackets(state.left().filter(|_| self.bars.is_none()));
                match outcome {
                    Outcome::Ran => self.line(&format!("  done    {node} ({seconds:.1} s){left}")),
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
        if let Some(whole) = &state.whole {
            match state.left() {
                Some(left) => whole.set_message(left),
                None => whole.finish_and_clear(),
            }
        }
    }
}

fn in_brackets(text: Option<String>) -> String {
    text.map_or_else(String::new, |text| format!(" [{text}]"))
}
