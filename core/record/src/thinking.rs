//! Reasoning that a model writes before its answer, and where it ends.

/// Tags around a block of reasoning.
const BLOCKS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
];

/// Whether this is one of the tags.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    BLOCKS
        .iter()
        .any(|(open, close)| text == *open || text == *close)
}

/// The tag that closes the block in which a prompt ends, when it ends in one: some chat templates begin the answer with `<think>`.
#[must_use]
pub fn opened_by(prompt: &str) -> Option<&'static str> {
    let prompt = prompt.trim_end();
    let block = BLOCKS.iter().find(|(open, _)| prompt.ends_with(open));
    block.map(|(_, close)| *close)
}

/// The reasoning at the beginning of an answer, and the answer after it. `opened` is the tag that closes what the prompt began.
///
/// A block that is never closed is reasoning to its end: the model was cut off before it answered. What closes a block that nothing
/// opened ends reasoning too; servers leave the opening tag out.
#[must_use]
pub fn apart(text: &str, opened: Option<&str>) -> (Option<String>, String) {
    let mut thinking: Vec<&str> = Vec::new();
    let mut rest = text;
    let mut close = opened;
    loop {
        if close.is_none() {
            let start = rest.trim_start();
            match BLOCKS.iter().find(|(open, _)| start.starts_with(open)) {
                Some((open, tag)) => {
                    rest = &start[open.len()..];
                    close = Some(tag);
                }
                None => break,
            }
        }
        let Some(tag) = close.take() else { break };
        // A template may open the block, and the model as well.
        let begun = BLOCKS.iter().find(|(_, closing)| *closing == tag);
        if let Some(inner) = begun.and_then(|(open, _)| rest.trim_start().strip_prefix(open)) {
            rest = inner;
        }
        match rest.split_once(tag) {
            Some((block, after)) => {
                thinking.push(block);
                rest = after;
            }
            None => {
                thinking.push(rest);
                rest = "";
            }
        }
    }
    if thinking.is_empty() {
        let closing = BLOCKS.iter().find_map(|(open, close)| {
            let (before, after) = rest.split_once(close)?;
            (!before.contains(open)).then_some((before, after))
        });
        match closing {
            Some((before, after)) => {
                thinking.push(before);
                rest = after;
            }
            None => return (None, text.to_owned()),
        }
    }
    let thinking: Vec<&str> = thinking.into_iter().map(str::trim).collect();
    (Some(thinking.join("\n\n")), rest.trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, opened: Option<&str>) -> (Option<String>, String) {
        apart(text, opened)
    }

    #[test]
    fn reasoning_stands_apart_from_the_answer() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("the queen", None), (None, "the queen".to_owned()));
        assert_eq!(
            split("<think>\nhm\n</think>\n\nthe queen", None),
            (some("hm"), "the queen".to_owned())
        );
        assert_eq!(
            split("hm\n</think>\n\nthe queen", Some("</think>")),
            (some("hm"), "the queen".to_owned())
        );
        assert_eq!(
            split("<think>hm</think>x", Some("</think>")),
            (some("hm"), "x".to_owned())
        );
        // Cut off while reasoning: there is no answer.
        assert_eq!(
            split("hm, the", Some("</think>")),
            (some("hm, the"), String::new())
        );
        assert_eq!(
            split("<think>hm, the", None),
            (some("hm, the"), String::new())
        );
        // The opening tag left out by a server.
        assert_eq!(split("hm</think> x", None), (some("hm"), "x".to_owned()));
        assert_eq!(
            split("[THINK]a[/THINK]<think>b</think>c", None),
            (some("a\n\nb"), "c".to_owned())
        );
        // A tag that is spoken of later is part of the answer.
        assert_eq!(
            split("write <think>a</think> here", None),
            (None, "write <think>a</think> here".to_owned())
        );
        assert_eq!(split("<think></think>x", None), (some(""), "x".to_owned()));
    }

    #[test]
    fn a_prompt_may_end_inside_a_block() {
        assert_eq!(opened_by("<|assistant|><think>\n"), Some("</think>"));
        assert_eq!(opened_by("[THINK]"), Some("[/THINK]"));
        assert_eq!(opened_by("<think>\n\n</think>\n\n"), None);
        assert_eq!(opened_by("what is <think>? <|assistant|>"), None);
    }
}
