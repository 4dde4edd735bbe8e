//! Fetching from the hub, as a user sees it.

use std::io::IsTerminal;

use driftgauge_data::hub::HubSource;
use driftgauge_hub::{Fetching, Hub};
use driftgauge_problem::{Problem, Result};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Fetches every source, each problem with its own message.
pub(crate) fn fetch(sources: &[&HubSource]) -> Result<()> {
    let hub = Hub::from_env()?;
    let mut problems = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        // Two models of a spec may name the same repository.
        if sources[..index].contains(source) {
            continue;
        }
        let mut display = Display::new(source);
        match hub.fetch(source, &mut |fetching| display.show(&fetching)) {
            Ok(_) => display.end(),
            Err(error) => problems.push(Problem::from(error).to_string()),
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problem::new("hub", problems.join("\nerror: ")))
    }
}

/// A bar on a terminal; a line per file otherwise.
struct Display {
    bar: Option<ProgressBar>,
    file: String,
}

impl Display {
    fn new(source: &HubSource) -> Self {
        eprintln!("fetching {} at `{}`", source.repository, source.revision);
        Self {
            bar: None,
            file: String::new(),
        }
    }

    fn show(&mut self, fetching: &Fetching) {
        let new = self.file != fetching.file;
        self.file.clone_from(&fetching.file);
        if !std::io::stderr().is_terminal() {
            if new {
                eprintln!(
                    "  fetch   {} ({})",
                    fetching.file,
                    HumanBytes(fetching.total)
                );
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(fetching.total);
            let template = "  {msg:<48} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        bar.set_length(fetching.total);
        bar.set_position(fetching.done);
        bar.set_message(fetching.file.clone());
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
