//! Reasoning that a model writes before its answer, and where it ends. Whoever looks for reasoning asks this for the tags.

use std::ops::Range;

use driftgauge_spelling::is_invisible;

/// Names of the blocks that hold reasoning, as `<think>`, `<seed:think>`, `<|begin_of_thought|>`, `[THINK]` and others.
const NAMES: [&str; 8] = [
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "analysis",
    "scratchpad",
];

/// The name of blocks whose answer comes in channels: whatever is not the final one is reasoning.
const CHANNELS: &str = "channel";

/// Most characters of a tag that is looked for.
const LONGEST: usize = 40;

/// A tag that opens or closes a block of reasoning.
struct Tag {
    /// Bytes.
    length: usize,
    /// Name of the block.
    name: String,
    /// Whether reasoning ends with it.
    closes: bool,
}

/// The parts of a text that are no reasoning; `None` where it ends inside of reasoning. `open` tells that the prompt ended inside
/// of a block. All before a tag that closes what nothing opened is reasoning.
pub(crate) fn spoken(text: &str, open: bool) -> Option<Vec<Range<usize>>> {
    let mut spoken = Vec::new();
    let mut begins = 0;
    // The name of the block, where it is known.
    let mut block: Option<Option<String>> = open.then_some(None);
    for (at, tag) in tags(text) {
        match &block {
            Some(name) => {
                if tag.closes && name.as_ref().is_none_or(|name| *name == tag.name) {
                    block = None;
                    begins = at + tag.length;
                }
            }
            None if tag.closes => {
                spoken.clear();
                begins = at + tag.length;
            }
            None => {
                spoken.push(begins..at);
                block = Some(Some(tag.name));
            }
        }
    }
    spoken.push(begins..text.len());
    block.is_none().then_some(spoken)
}

/// All tags of a text, with the byte at which each begins.
fn tags(text: &str) -> impl Iterator<Item = (usize, Tag)> {
    let places = text.match_indices(['<', '[', '\u{25c1}']);
    places.filter_map(|(at, _)| Some((at, tag(&text[at..])?)))
}

/// The tag at the head of a text.
fn tag(text: &str) -> Option<Tag> {
    if let Some(tag) = channel(text) {
        return Some(tag);
    }
    let first = text.chars().next()?;
    let closing = match first {
        '<' => '>',
        '[' => ']',
        '\u{25c1}' => '\u{25b7}',
        _ => return None,
    };
    let inside = &text[first.len_utf8()..];
    let (end, _) = inside
        .char_indices()
        .take(LONGEST)
        .find(|(_, c)| *c == closing)?;
    let length = first.len_utf8() + end + closing.len_utf8();
    let name = inside[..end].to_ascii_lowercase();
    let name = name.trim_matches('|');
    // `<think/>` is a block without anything in it.
    let (name, closes) = match name.strip_prefix('/').or_else(|| name.strip_suffix('/')) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let name = name.split(' ').next().unwrap_or_default();
    let (name, closes) = match name.strip_prefix("end_") {
        Some(name) => (name, true),
        None => (name, closes),
    };
    let begun = ["begin_", "start_"];
    let begun = begun.iter().find_map(|begin| name.strip_prefix(begin));
    let name = begun.unwrap_or(name);
    let name = name.strip_prefix("of_").unwrap_or(name);
    let name = name.rsplit(':').next().unwrap_or(name);
    // Other words in brackets are headings and links.
    let known = NAMES.contains(&name) && (first != '[' || name == "think");
    known.then(|| Tag {
        length,
        name: name.to_owned(),
        closes,
    })
}

/// The head of a channel.
fn channel(text: &str) -> Option<Tag> {
    const HEAD: &str = "<|channel|>";
    const MESSAGE: &str = "<|message|>";
    let rest = text.strip_prefix(HEAD)?;
    let name = rest.split(['<', '\n', ' ']).next().unwrap_or_default();
    let length = HEAD.len() + name.len();
    let message = text[length..].starts_with(MESSAGE);
    Some(Tag {
        length: length + if message { MESSAGE.len() } else { 0 },
        name: CHANNELS.to_owned(),
        closes: name == "final",
    })
}

/// Whether this is one of the tags.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    tag(text).is_some_and(|tag| tag.length == text.len())
}

/// Name of the block in which a prompt ends, when it ends in one: some chat templates begin the answer with `<think>`.
#[must_use]
pub fn opened_by(prompt: &str) -> Option<String> {
    let prompt = prompt.trim_end();
    let (at, tag) = tags(prompt).last()?;
    (at + tag.length == prompt.len() && !tag.closes).then_some(tag.name)
}

/// The reasoning at the beginning of an answer, and the answer after it. `opened` is the name of the block that the prompt began.
///
/// A block that is never closed is reasoning to its end: the model was cut off before it answered. What closes a block that nothing
/// opened ends reasoning too; servers leave the opening tag out.
#[must_use]
pub fn apart(text: &str, opened: Option<&str>) -> (Option<String>, String) {
    let mut thinking: Vec<&str> = Vec::new();
    let mut rest = text;
    let mut open = opened.map(str::to_owned);
    loop {
        // A template may open the block, and the model as well.
        let start = rest.trim_start_matches(nothing);
        if let Some(tag) = tag(start).filter(|tag| !tag.closes)
            && open.as_ref().is_none_or(|name| *name == tag.name)
        {
            rest = &start[tag.length..];
            open = Some(tag.name);
        }
        let Some(name) = open.take() else { break };
        match tags(rest).find(|(_, tag)| tag.closes && tag.name == name) {
            Some((at, tag)) => {
                thinking.push(&rest[..at]);
                rest = &rest[at + tag.length..];
            }
            None => {
                thinking.push(rest);
                rest = "";
            }
        }
    }
    if thinking.is_empty() {
        // The first tag closes what nothing opened.
        match tags(rest).next().filter(|(_, tag)| tag.closes) {
            Some((at, tag)) => {
                thinking.push(&rest[..at]);
                rest = &rest[at + tag.length..];
            }
            None => return (None, text.to_owned()),
        }
    }
    let thinking: Vec<&str> = thinking.into_iter().map(str::trim).collect();
    (Some(thinking.join("\n\n")), rest.trim_start().to_owned())
}

/// Characters that say nothing before a block.
fn nothing(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
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
            split("hm\n</think>\n\nthe queen", Some("think")),
            (some("hm"), "the queen".to_owned())
        );
        assert_eq!(
            split("<think>hm</think>x", Some("think")),
            (some("hm"), "x".to_owned())
        );
        // Cut off while reasoning: there is no answer.
        assert_eq!(
            split("hm, the", Some("think")),
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
        let opened = |prompt: &str| opened_by(prompt);
        assert_eq!(opened("<|assistant|><think>\n").as_deref(), Some("think"));
        assert_eq!(opened("[THINK]").as_deref(), Some("think"));
        assert_eq!(opened("<|begin_of_thought|>").as_deref(), Some("thought"));
        assert_eq!(opened("<think>\n\n</think>\n\n"), None);
        assert_eq!(opened("what is <think>? <|assistant|>"), None);
    }

    #[test]
    fn every_spelling_of_a_tag_is_known() {
        let some = |text: &str| Some(text.to_owned());
        for text in [
            "\u{feff}<THINK>hm</THINK>x",
            "<|begin_of_thought|>hm<|end_of_thought|>x",
            "<|START_THINKING|>hm<|END_THINKING|>x",
            "<scratchpad>hm</scratchpad>x",
            "<|thinking|>hm<|/thinking|>x",
            "\u{25c1}think\u{25b7}hm\u{25c1}/think\u{25b7}x",
            "<|channel|>analysis<|message|>hm<|channel|>final<|message|>x",
        ] {
            assert_eq!(split(text, None), (some("hm"), "x".to_owned()), "{text}");
        }
        for text in ["[note] x", "<b>x</b>", "<analyse>x", "[reasoning](link) x"] {
            assert_eq!(split(text, None), (None, text.to_owned()), "{text}");
        }
        assert!(is_tag("</think>") && is_tag("<|end_of_thought|>"));
        assert!(!is_tag("</think> x") && !is_tag("<b>") && !is_tag(""));
    }
}
