//! The command line as `--help`, the man pages and the completions show it: commands in groups, each with examples.

use clap::{Command, CommandFactory, FromArgMatches};

use crate::args::Cli;

/// Groups of commands in the order in which a user meets them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Experiments", &["init", "check", "plan", "run"]),
    ("Results", &["show", "report", "compare", "export"]),
    ("Plugins and store", &["plugin", "cache", "verify"]),
    ("On a cluster", &["status", "cancel"]),
    ("This machine", &["doctor"]),
    ("Editors and shells", &["schema", "completions", "man"]),
];

/// What each command is called with most.
const EXAMPLES: [(&str, &[&str]); 17] = [
    ("init", &["driftgauge init study"]),
    (
        "check",
        &[
            "driftgauge check spec.yaml",
            "driftgauge check spec.yaml --format github --deny warnings",
        ],
    ),
    (
        "plan",
        &[
            "driftgauge plan spec.yaml",
            "driftgauge plan spec.yaml --from tuned",
            "driftgauge plan spec.yaml --only generate --format mermaid",
        ],
    ),
    (
        "run",
        &[
            "driftgauge run spec.yaml --out runs/first",
            "driftgauge run spec.yaml --out runs/try --limit 20 --set base=models/tiny",
            "driftgauge run spec.yaml --out runs/first --offline --locked",
            "driftgauge run spec.yaml --out runs/first --executor cluster.yaml --detach",
        ],
    ),
    (
        "show",
        &[
            "driftgauge show runs/first",
            "driftgauge show spec.yaml --sample ask/3 --model tuned",
        ],
    ),
    (
        "report",
        &[
            "driftgauge report runs/first",
            "driftgauge report runs/first --format md",
            "driftgauge report runs/first --format junit --to gates.xml",
            "driftgauge report runs/old runs/new --to trend.html --deny worse",
        ],
    ),
    (
        "compare",
        &[
            "driftgauge compare runs/old runs/new",
            "driftgauge compare before.jsonl after.jsonl --id doc_id",
        ],
    ),
    (
        "export",
        &[
            "driftgauge export runs/first",
            "driftgauge export runs/first --format parquet --to samples.parquet",
            "driftgauge export runs/first --format hub --to upload",
        ],
    ),
    (
        "plugin",
        &[
            "driftgauge plugin list",
            "driftgauge plugin new mine --lang python",
            "driftgauge plugin check mine/mine.py",
        ],
    ),
    (
        "cache",
        &[
            "driftgauge cache list",
            "driftgauge cache prune --keep runs/first --dry-run",
        ],
    ),
    ("status", &["driftgauge status runs/first"]),
    ("cancel", &["driftgauge cancel runs/first"]),
    (
        "verify",
        &[
            "driftgauge verify runs/first",
            "driftgauge verify .driftgauge/store --format json",
        ],
    ),
    (
        "doctor",
        &["driftgauge doctor", "driftgauge doctor spec.yaml"],
    ),
    ("schema", &["driftgauge schema"]),
    ("completions", &["driftgauge completions bash"]),
    ("man", &["driftgauge man run", "driftgauge man --to man1"]),
];

/// Exit codes, which scripts rely on.
pub(crate) const EXIT_CODES: [(u8, &str); 5] = [
    (0, "done"),
    (
        1,
        "a node failed, a file could not be read or written, `doctor` found something missing, or `verify` something damaged",
    ),
    (2, "the command line or the spec is wrong; nothing ran"),
    (
        100,
        "a gate failed, or `--deny worse` found something worse, or nothing to hold against what was measured before",
    ),
    (130, "interrupted"),
];

/// Reads the command line of this process; ends it where it is wrong or asks for help.
pub(crate) fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command line with groups, examples and exit codes.
pub(crate) fn command() -> Command {
    let mut command = Cli::command();
    for (name, examples) in EXAMPLES {
        command = command.mut_subcommand(name, |of| of.after_help(listed("Examples", examples)));
    }
    let codes = EXIT_CODES.map(|(code, meaning)| format!("{code:>3}  {meaning}"));
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}\n{{options}}{{after-help}}",
        commands(&command)
    );
    command
        .after_help(listed("Exit codes", &codes))
        .help_template(template)
}

/// The commands in their groups, each with its first line of help.
fn commands(command: &Command) -> String {
    let header = command.get_styles().get_header();
    let literal = command.get_styles().get_literal();
    let mut out = String::new();
    for (group, names) in GROUPS {
        out.push_str(&format!("{header}{group}:{header:#}\n"));
        for name in names {
            let about = command
                .find_subcommand(name)
                .and_then(Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            out.push_str(&format!("  {literal}{name:<12}{literal:#} {about}\n"));
        }
        out.push('\n');
    }
    out.push_str(&format!("{header}Options:{header:#}"));
    out
}

fn listed(heading: &str, lines: &[&str]) -> String {
    format!("{heading}:\n  {}", lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that is not hidden.
    fn shown() -> Vec<String> {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|of| !of.is_hide_set());
        shown.map(|of| of.get_name().to_owned()).collect()
    }

    #[test]
    fn every_command_stands_in_one_group_and_has_examples() {
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let mut examples = EXAMPLES.map(|(name, _)| name);
        let mut shown = shown();
        grouped.sort_unstable();
        examples.sort_unstable();
        shown.sort_unstable();
        assert_eq!(grouped, shown);
        assert_eq!(examples.as_slice(), shown);
    }

    #[test]
    fn every_example_is_a_command_line() {
        for (name, examples) in EXAMPLES {
            for example in examples {
                let words = example.split(' ');
                let matches = command().try_get_matches_from(words);
                let matches = matches.unwrap_or_else(|error| panic!("{example}: {error}"));
                assert_eq!(matches.subcommand_name(), Some(name), "{example}");
            }
        }
    }

    #[test]
    fn help_shows_groups_and_exit_codes() {
        let help = command().render_help().to_string();
        for word in [
            "Experiments:",
            "Results:",
            "  run ",
            "Options:",
            "--version",
            "100  a gate",
        ] {
            assert!(help.contains(word), "{word} is missing:\n{help}");
        }
        assert!(!help.contains("worker"), "{help}");
    }
}
