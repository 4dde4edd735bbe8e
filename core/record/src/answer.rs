//! Where the answer proper begins in what a model wrote: behind closed reasoning, and behind the marks around it.
//!
//! Judges read their verdict there, and engines take the probability of a verdict there, so both ask this.

/// Names of the blocks that hold reasoning, as `<think>`, `<seed:think>`, `<|begin_of_thought|>` and others.
const REASONING: [&str; 8] = [
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "analysis",
    "scratchpad",
];

/// Special tokens that some servers leave in the text; those written `<|...|>` are known by their form.
const SPECIAL: [&str; 11] = [
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<eot>",
    "[/INST]",
    "[INST]",
];

/// Whose turn it is, where a header slipped into the text.
const ROLES: [&str; 3] = ["assistant", "model", "agent"];

/// Longest name of a tag that is looked for.
const LONGEST_TAG: usize = 40;

/// The byte at which the answer proper begins. `None` when there is none: nothing but marks, or reasoning that was cut off.
#[must_use]
pub fn answer_start(text: &str) -> Option<usize> {
    let mut at = reasoning_end(text)?;
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        at += match special_token(rest).or_else(|| role_header(rest)) {
            Some(length) => length,
            None if is_mark(first, &rest[first.len_utf8()..]) => first.len_utf8(),
            None => return Some(at),
        };
    }
}

/// Characters that take no room: zero-width ones, byte order marks, direction marks, soft hyphens.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character before an answer says nothing: white space, markdown, quotes, brackets, pictures. What turns an
/// answer round does: `!unsafe`, `~~unsafe~~`, `-1`, `.5`.
fn is_mark(c: char, rest: &str) -> bool {
    let signs = matches!(c, '-' | '+' | '\u{2212}' | '.' | ',');
    let number = rest.starts_with(|next: char| next.is_numeric());
    !c.is_alphanumeric()
        && !matches!(c, '!' | '?' | '~' | '\u{ac}' | '\u{2260}')
        && !(signs && number)
}

/// Where the last closed block of reasoning ends, 0 without one; `None` inside of one that is not closed. A block whose
/// beginning stands in the prompt has only an end here.
fn reasoning_end(text: &str) -> Option<usize> {
    let mut end = 0;
    let mut open = false;
    for (at, _) in text.match_indices(['<', '[', '\u{25c1}']) {
        if let Some((length, closes)) = reasoning_tag(&text[at..]) {
            open = !closes;
            if closes {
                end = at + length;
            }
        }
    }
    (!open).then_some(end)
}

/// Length of the tag at the head of the text, and whether it closes a block of reasoning.
fn reasoning_tag(text: &str) -> Option<(usize, bool)> {
    const CHANNEL: &str = "<|channel|>";
    const MESSAGE: &str = "<|message|>";
    if let Some(rest) = text.strip_prefix(CHANNEL) {
        // Reasoning and answer in channels: whatever is not the final one is not the answer.
        let name = rest.split(['<', '\n', ' ']).next().unwrap_or_default();
        let length = CHANNEL.len() + name.len();
        let message = text[length..].starts_with(MESSAGE);
        let length = length + if message { MESSAGE.len() } else { 0 };
        return Some((length, name == "final"));
    }
    let first = text.chars().next()?;
    let closing = match first {
        '<' => '>',
        '[' => ']',
        _ => '\u{25b7}',
    };
    let inside = &text[first.len_utf8()..];
    let length = inside.find(closing).filter(|&at| at <= LONGEST_TAG)?;
    let whole = first.len_utf8() + length + closing.len_utf8();
    let name = inside[..length].to_ascii_lowercase();
    let (name, closes) = match name.strip_prefix('/') {
        Some(name) => (name, true),
        None => (name.as_str(), false),
    };
    let name = name.split(' ').next().unwrap_or_default();
    if first == '[' {
        // Other words in brackets are headings and links.
        return (name == "think").then_some((whole, closes));
    }
    let name = name.trim_matches('|');
    let (name, closes) = match name.strip_prefix("end_") {
        Some(name) => (name, true),
        None => (name, closes),
    };
    let name = ["begin_", "start_"]
        .iter()
        .find_map(|begin| name.strip_prefix(begin))
        .unwrap_or(name);
    let name = name.strip_prefix("of_").unwrap_or(name);
    let name = name.rsplit(':').next().unwrap_or(name).trim_matches('/');
    REASONING.contains(&name).then_some((whole, closes))
}

/// The text without the special tokens that some servers leave in it.
#[must_use]
pub fn without_special_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '[']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = special_token(rest);
        if length.is_none() {
            // Both are one byte.
            out.push_str(&rest[..1]);
        }
        rest = &rest[length.unwrap_or(1)..];
    }
    out.push_str(rest);
    out
}

/// Length of a special token at the head of the text.
fn special_token(text: &str) -> Option<usize> {
    if let Some(rest) = text.strip_prefix("<|") {
        let name = rest.find("|>").filter(|&at| at <= LONGEST_TAG)?;
        return (!rest[..name].contains(char::is_whitespace)).then_some(name + 4);
    }
    SPECIAL
        .iter()
        .find(|token| text.starts_with(**token))
        .map(|token| token.len())
}

/// Length of `assistant` and the like, where a header and no answer begins with it.
fn role_header(text: &str) -> Option<usize> {
    ROLES.iter().find_map(|role| {
        let head = text.get(..role.len())?;
        let rest = &text[role.len()..];
        let ends = rest.starts_with(['\n', '\r', ':']) || rest.starts_with("<|");
        (head.eq_ignore_ascii_case(role) && ends).then_some(role.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Option<&str> {
        answer_start(text).map(|at| &text[at..])
    }

    #[test]
    fn marks_around_an_answer_are_passed_over() {
        for text in [
            "yes",
            "\n\n yes",
            "\u{feff}\u{200b}\u{a0}yes",
            "**yes",
            "`yes",
            "> \u{201c}yes",
            "- (yes",
            "\u{2705} yes",
            "<|im_start|>assistant\nyes",
            "<|start_header_id|>assistant<|end_header_id|>\n\nyes",
            "assistant\n\nyes",
            "</s><s>yes",
            "{\"yes",
        ] {
            assert_eq!(answer(text), Some("yes"), "{text:?}");
        }
        for text in ["", " \n", "**", "<|eot_id|>", "\u{200b}"] {
            assert_eq!(answer(text), None, "{text:?}");
        }
    }

    #[test]
    fn special_tokens_are_no_text() {
        let text = "a <b> [c]<|eot_id|></s> d<|im_end|>";
        assert_eq!(without_special_tokens(text), "a <b> [c] d");
    }

    #[test]
    fn what_turns_an_answer_round_is_no_mark() {
        for text in ["!yes", "~~yes~~", "-1", ".5", "?yes", "assistants"] {
            assert_eq!(answer(text), Some(text));
        }
    }

    #[test]
    fn closed_reasoning_is_passed_over_and_open_reasoning_is_no_answer() {
        for text in [
            "<think>no</think>\n\nyes",
            "no, or rather</think>yes",
            "<THINKING>a</THINKING> <think>b</think> yes",
            "<seed:think>a</seed:think>yes",
            "[THINK]a[/THINK]yes",
            "<|begin_of_thought|>a<|end_of_thought|>yes",
            "<|START_THINKING|>a<|END_THINKING|>yes",
            "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>yes",
            "\u{25c1}think\u{25b7}a\u{25c1}/think\u{25b7}yes",
        ] {
            assert_eq!(answer(text), Some("yes"), "{text:?}");
        }
        for text in [
            "<think>yes",
            "<think>a</think> yes <think> or",
            "<|channel|>analysis<|message|>yes",
        ] {
            assert_eq!(answer(text), None, "{text:?}");
        }
        assert_eq!(answer("a [link] <b>c"), Some("a [link] <b>c"));
    }
}
