//! Plugins of metrics and judges: what names them, and what they may use.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::{Span, Text};
use crate::spec::{Isolation, Judge, Metric, bytes};

impl Checker<'_> {
    pub(super) fn plugins(&mut self) {
        let spec = self.spec;
        for (id, metric) in &spec.metrics {
            self.plugin(id.span(), metric);
            if let Some(only) = &metric.only {
                self.expression(only);
            }
        }
        for evaluation in spec.evaluations.values() {
            for (id, judge) in &evaluation.judges {
                if let Judge::Plugin(plugin) = judge {
                    self.plugin(id.span(), plugin);
                    if let Some(only) = &plugin.only {
                        self.error(
                            Diagnostic::error("not-together", "a judge judges every completion")
                                .at(only.span(), "")
                                .help("write `only` at the metric that counts its verdicts"),
                        );
                    }
                }
            }
        }
    }

    fn plugin(&mut self, id: Span, metric: &Metric) {
        let mut complain = |span: Span, message: String, help: &str| {
            let span = if span.is_none() { id } else { span };
            let diagnostic = Diagnostic::error("bad-plugin", message).at(span, "");
            self.error(diagnostic.help(help));
        };
        match (&metric.plugin, &metric.command) {
            (Some(_), None) => {}
            (None, Some(words)) if words.first().is_some_and(|word| !word.is_empty()) => {}
            (None, Some(_)) => complain(
                id,
                "`command` names no program".to_owned(),
                "for example `command: [python3, mine.py]`",
            ),
            (None, None) => complain(
                id,
                "neither `plugin` nor `command` is given".to_owned(),
                "`plugin: asr` names a library, `command: [python3, mine.py]` a program",
            ),
            (Some(plugin), Some(_)) => complain(
                plugin.span(),
                "both `plugin` and `command` are given".to_owned(),
                "keep the one that is meant",
            ),
        }
        let in_process = metric
            .isolation
            .as_ref()
            .filter(|isolation| ***isolation == Isolation::InProcess);
        if let (Some(_), Some(isolation)) = (&metric.command, in_process) {
            complain(
                isolation.span(),
                "a program cannot run in the process of driftgauge".to_owned(),
                "leave `isolation` out",
            );
        }
        if metric.command.is_none() && !metric.files.is_empty() {
            complain(
                metric.files[0].span(),
                "`files` are those that a `command` reads".to_owned(),
                "leave them out: a library is identified by its own bytes",
            );
        }
        if let Some(memory) = metric
            .memory
            .as_ref()
            .filter(|memory| bytes(memory).is_none_or(|bytes| bytes < 64 << 20))
        {
            complain(
                memory.span(),
                format!("`memory: {memory}` is no size from 64 MiB on"),
                "a whole number with its unit, for example `512 MiB` or `4 GiB`",
            );
        }
        for (key, digest) in [("blake3", &metric.blake3), ("sha256", &metric.sha256)] {
            let Some(digest) = digest else { continue };
            if metric.command.is_some() {
                complain(
                    digest.span(),
                    format!("`{key}` pins a library, and this metric is a program"),
                    "leave it out",
                );
            } else if !is_digest(digest, key) {
                complain(
                    digest.span(),
                    format!("`{key}: {digest}` is no digest of 64 hexadecimal digits"),
                    "`driftgauge plugin show` prints it",
                );
            }
        }
    }
}

fn is_digest(text: &Text, algorithm: &str) -> bool {
    let text = text.get().as_str();
    let digits = text
        .strip_prefix(algorithm)
        .and_then(|rest| rest.strip_prefix(':'))
        .unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
