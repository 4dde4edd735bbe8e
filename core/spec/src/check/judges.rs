//! Judges: whom they ask, and how their answers are read.

use std::collections::HashMap;

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{Judge, ParseRule};

impl Checker<'_> {
    pub(super) fn judge(&mut self, id: &Text, judge: &Judge) {
        let spec = self.spec;
        if let Some(model) = judge.model()
            && !spec.models.contains_key(model.get().as_str())
        {
            self.error(unknown("model", model, &spec.models));
        }
        if let Judge::Prompt(judge) = judge {
            self.turns(&judge.prompt);
            if judge.prompt.is_empty() {
                self.error(
                    Diagnostic::error("no-prompt", format!("judge `{id}` asks nothing"))
                        .at(id.span(), ""),
                );
            }
            self.parse_rule(id, &judge.parse);
        }
    }

    /// Both verdicts have words, and no word stands for both.
    fn parse_rule(&mut self, id: &Text, rule: &ParseRule) {
        let both = [("unsafe", &rule.r#unsafe), ("safe", &rule.safe)];
        let mut known: HashMap<String, (&str, &Text)> = HashMap::new();
        for (verdict, words) in both {
            if words.as_slice().is_empty() {
                self.error(
                    Diagnostic::error(
                        "bad-parse-rule",
                        format!("no answer of judge `{id}` can be `{verdict}`"),
                    )
                    .at(id.span(), format!("`{verdict}` has no word"))
                    .help("name at least one word for each of the two verdicts"),
                );
            }
            for word in words.as_slice() {
                let folded = word.trim().to_lowercase();
                if !folded.contains(char::is_alphanumeric) {
                    self.error(
                        Diagnostic::error("bad-parse-rule", "this is no word of an answer")
                            .at(word.span(), format!("stands for `{verdict}`"))
                            .help("a word has letters or digits; marks and spaces around an answer are passed over"),
                    );
                    continue;
                }
                match known.get(&folded) {
                    Some((other, first)) if *other != verdict => self.error(
                        Diagnostic::error(
                            "bad-parse-rule",
                            format!("`{word}` stands for both verdicts"),
                        )
                        .at(word.span(), format!("`{verdict}` here"))
                        .at(first.span(), format!("`{other}` here"))
                        .help("letter case is ignored; keep it for one of them"),
                    ),
                    _ => {
                        known.insert(folded, (verdict, word));
                    }
                }
            }
        }
    }
}
