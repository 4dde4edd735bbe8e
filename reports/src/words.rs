//! Parts of an experiment in words.

use driftgauge_record::files::resolved::GenerateRecord;

/// How completions are made: `at most 64 tokens, greedy`.
pub(crate) fn generation(settings: &GenerateRecord) -> String {
    let mut parts = vec![format!("at most {} tokens", settings.max_tokens)];
    if settings.temperature == 0.0 {
        parts.push("greedy".to_owned());
    } else {
        parts.push(format!("temperature {}", settings.temperature));
        let top_p = settings.top_p.map(|p| format!("top-p {p}"));
        let top_k = settings.top_k.map(|k| format!("top-k {k}"));
        let min_p = settings.min_p.map(|p| format!("min-p {p}"));
        parts.extend([top_p, top_k, min_p].into_iter().flatten());
    }
    if settings.samples > 1 {
        parts.push(format!("{} completions per prompt", settings.samples));
    }
    parts.join(", ")
}

/// Absolute paths cut down to the names of their files: the rest says where one machine keeps them.
pub(crate) fn without_folders(text: &str) -> String {
    let short = |word: &str| {
        let start = word.find('/').unwrap_or(0);
        let (before, path) = word.split_at(start);
        match path.rsplit_once('/') {
            Some((folder, name)) if matches!(before, "" | "(" | "`") && folder.contains('/') => {
                format!("{before}{name}")
            }
            _ => word.to_owned(),
        }
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_a_machine_are_left_out() {
        assert_eq!(
            without_folders("x and/or y (recorded in /a/b/one.csv and /c/d/two.parquet)"),
            "x and/or y (recorded in one.csv and two.parquet)"
        );
        assert_eq!(without_folders("data/demo.jsonl"), "data/demo.jsonl");
    }

    #[test]
    fn generation_reads_as_words() {
        let mut settings = GenerateRecord {
            max_tokens: 64,
            samples: 3,
            temperature: 0.7,
            top_p: Some(0.9),
            top_k: None,
            min_p: None,
            seed: 0,
            stop: Vec::new(),
            top_logprobs: 0,
            on_long_prompt: "error".to_owned(),
            strip_thinking: false,
        };
        assert_eq!(
            generation(&settings),
            "at most 64 tokens, temperature 0.7, top-p 0.9, 3 completions per prompt"
        );
        (settings.temperature, settings.samples) = (0.0, 1);
        assert_eq!(generation(&settings), "at most 64 tokens, greedy");
    }
}
