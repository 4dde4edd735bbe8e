//! Where the answer proper begins in what a model wrote: behind closed reasoning, and behind the marks around it.
//!
//! Judges read their verdict there, and engines take the probability of a verdict there, so both ask this.

use driftgauge_spelling::is_invisible;

use crate::thinking;

/// Special tokens that some servers leave in the text; others are known by their form.
const CONTROL: [&str; 13] = [
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<end_of_text>",
    "<eot>",
    "[/INST]",
    "[INST]",
];

/// What models put around a final answer.
const TAGS: [&str; 10] = [
    "<answer>",
    "</answer>",
    "<verdict>",
    "</verdict>",
    "<output>",
    "</output>",
    "<response>",
    "</response>",
    "\\boxed{",
    "\\text{",
];

/// What stands around the names of special tokens; the second is written with full-width bars.
const FORMS: [(&str, &str); 2] = [("<|", "|>"), ("<\u{ff5c}", "\u{ff5c}>")];

/// Whose turn it is, where a header slipped into the text.
const ROLES: [&str; 3] = ["assistant", "model", "agent"];

/// Most characters of the name of a special token.
const LONGEST: usize = 40;

/// The byte at which the answer proper begins. `None` when there is none: nothing but marks, or reasoning that was cut off.
#[must_use]
pub fn answer_start(text: &str) -> Option<usize> {
    start(text, false)
}

/// The same of what follows a prompt that ends inside a block of reasoning.
#[must_use]
pub fn answer_start_within(text: &str) -> Option<usize> {
    start(text, true)
}

/// The answer proper: without reasoning, special tokens and characters that take no room, up to the token that ends it. `None`
/// as for [`answer_start`].
#[must_use]
pub fn answer_text(text: &str) -> Option<String> {
    let start = answer_start(text)?;
    let mut out = String::new();
    for part in thinking::spoken(text, false)? {
        let mut rest = match part.end {
            end if end <= start => continue,
            end => &text[part.start.max(start)..end],
        };
        while let Some(first) = rest.chars().next() {
            match special_token(rest).or_else(|| fence(rest)) {
                Some(length) if is_end(&rest[..length]) => return Some(out),
                Some(length) => rest = &rest[length..],
                None => {
                    out.extend(Some(first).filter(|c| !is_invisible(*c)));
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        // What stood around reasoning does not become one word.
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    Some(out)
}

/// Whether a special token is spelled out in the text, where a decoder leaves none. Tags around an answer are none.
#[must_use]
pub fn spells_special_token(text: &str) -> bool {
    let mut places = text.match_indices(['<', '[']);
    places.any(|(at, _)| {
        let rest = &text[at..];
        special_token(rest).is_some_and(|length| {
            let token = &rest[..length];
            // `<||>` is an operator of some languages.
            !TAGS.iter().any(|tag| token.eq_ignore_ascii_case(tag)) && token != "<||>"
        })
    })
}

fn start(text: &str, open: bool) -> Option<usize> {
    let mut parts = thinking::spoken(text, open)?.into_iter();
    parts.find_map(|part| Some(part.start + head(&text[part])?))
}

/// Where the marks at the head of a text end.
fn head(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let passed = special_token(rest)
            .or_else(|| role_header(rest))
            .or_else(|| fence(rest));
        at += match passed {
            Some(length) => length,
            None if is_mark(first, &rest[first.len_utf8()..]) => first.len_utf8(),
            None => return Some(at),
        };
    }
}

/// Whether a character before an answer says nothing: white space, markdown, quotes, brackets, pictures. What turns an
/// answer round does: `!unsafe`, `~~unsafe~~`, `-1`, `.5`.
fn is_mark(c: char, rest: &str) -> bool {
    let signs = matches!(c, '-' | '+' | '\u{2212}' | '.' | ',');
    let number = rest.starts_with(|next: char| next.is_numeric());
    let turns = matches!(c, '!' | '?' | '~' | '\u{ac}' | '\u{2260}') || signs && number;
    is_invisible(c) || !c.is_alphanumeric() && !turns
}

/// Length of a special token at the head of the text.
fn special_token(text: &str) -> Option<usize> {
    for (open, close) in FORMS {
        if let Some(rest) = text.strip_prefix(open) {
            let near = rest.char_indices().take(LONGEST);
            let ends = |(at, _): &(usize, char)| rest[*at..].starts_with(close);
            let (end, _) = near.take_while(|(_, c)| !c.is_whitespace()).find(ends)?;
            return Some(open.len() + end + close.len());
        }
    }
    let known = |token: &&&str| {
        let head = text.get(..token.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(token))
    };
    let mut all = CONTROL.iter().chain(&TAGS);
    all.find(known).map(|token| token.len())
}

/// Whether an answer ends with this special token.
fn is_end(token: &str) -> bool {
    let name = token.to_lowercase();
    let ends = ["end", "eot", "eos", "return", "</s>"];
    ends.iter().any(|end| name.contains(end)) && !name.contains("header") && !name.contains("box")
}

/// Length of the line that begins a block of code, with its language.
fn fence(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("```")?;
    let (language, _) = rest.split_once('\n')?;
    let word = language.trim_end().chars().all(char::is_alphanumeric);
    word.then_some(text.len() - rest.len() + language.len())
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
            "<EOS><\u{ff5c}Assistant\u{ff5c}>yes",
            "\u{3164}yes",
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
        for (text, answer) in [
            ("a <b> [c]<unk></b> d<|im_end|>", "a <b> [c]</b> d"),
            ("yes<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>", "yes"),
            ("<|begin_of_box|>yes<|end_of_box|>\nS1", "yes\nS1"),
            ("<answer>\nyes\n</answer>", "yes"),
            ("\\boxed{\\text{yes}}", "yes}}"),
            ("```text\nyes\n```", "yes\n```"),
            // What a model goes on with behind its end is no part of the answer.
            (
                "yes<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nno",
                "yes",
            ),
            ("ye\u{200b}s\u{feff}", "yes"),
            ("yes\n<think>no</think>\nit is", "yes\n\n\nit is"),
        ] {
            assert_eq!(answer_text(text).as_deref(), Some(answer), "{text}");
        }
        assert_eq!(answer_text("<think>yes"), None);
    }

    #[test]
    fn special_tokens_are_found_anywhere() {
        for text in [
            "yes<|im_end|>",
            "yes</s>",
            "a <|eot_id|> b",
            "x<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
            "a < b <EOS>",
            "no [/INST]",
        ] {
            assert!(spells_special_token(text), "{text}");
        }
        for text in [
            "a <| b |> c",
            "f <|> g",
            "x <||> y",
            "a || b [1] <b>",
            "<answer>yes</answer>",
            "",
        ] {
            assert!(!spells_special_token(text), "{text}");
        }
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
        assert_eq!(answer_start_within("yes, because"), None);
        assert_eq!(answer_start_within("no</think> yes"), Some(11));
    }
}
