//! Which of the tokens that a server lists are those of the answer: they spell its text. What stands before may be reasoning that was
//! taken out, what stands behind a string that ended the answer.

use std::borrow::Cow;

use driftgauge_record::{Completion, spells_special_token, thinking};

use crate::logprobs::Position;

/// What stands in a token for a part of a character, as UTF-8.
const REPLACED: &[u8] = "\u{fffd}".as_bytes();

/// The tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Own<'a> {
    /// Those that spell its text, and the one that ended it where it is listed.
    pub(crate) positions: &'a [Position],
    /// Whether the last of them is the one that ended it, and says so.
    pub(crate) ended: bool,
}

/// The tokens that spell the text of a completion. `None` where the tokens spell something else, or it cannot be told which do: white
/// space at the ends aside, which servers take off.
pub(crate) fn own<'a>(
    positions: &'a [Position],
    completion: &Completion,
    stop: &[String],
) -> Option<Own<'a>> {
    if positions.is_empty() {
        let ended = false;
        return Some(Own { positions, ended });
    }
    let spelt: Vec<Cow<'_, [u8]>> = positions.iter().map(spelling).collect();
    // Reasoning that was left empty has its tags in the list all the same.
    let is_tag = |bytes: &[u8]| thinking::is_tag(&String::from_utf8_lossy(bytes));
    let said_nothing =
        |bytes: &&Cow<'_, [u8]>| is_blank(bytes) || is_special(bytes) || is_tag(bytes);
    let head = spelt.iter().take_while(said_nothing).count();
    let from = |first: usize| {
        let (last, end) = ends(&completion.text, &spelt[first..], stop)?;
        let positions = &positions[first..first + last + usize::from(end.is_some())];
        let ended = end.is_some_and(|end| !end.is_empty());
        Some(Own { positions, ended })
    };
    match &completion.thinking {
        None => (0..=head).find_map(from),
        // Whatever was taken out stands before the answer.
        Some(_) => {
            let mut room = 0;
            let reaches = |first: usize| {
                room += spelt.get(first).map_or(0, |bytes| room_of(bytes));
                (room >= completion.text.len()).then_some(first)
            };
            (0..=spelt.len()).rev().filter_map(reaches).find_map(from)
        }
    }
}

/// Whether the tokens spell the beginning of the text of a completion from which nothing was taken out.
pub(crate) fn begin(positions: &[Position], completion: &Completion) -> bool {
    let bytes: Vec<u8> = positions.iter().map(spelling).collect::<Vec<_>>().concat();
    let spelt = String::from_utf8_lossy(&bytes);
    let spelt = spelt.trim_start();
    let text = completion.text.trim_start();
    completion.thinking.is_none() && !spelt.is_empty() && text.starts_with(spelt)
}

/// The bytes of a token's text.
fn spelling(at: &Position) -> Cow<'_, [u8]> {
    match (&at.bytes, at.token.strip_prefix("bytes:")) {
        (Some(bytes), _) => Cow::Borrowed(bytes),
        (None, Some(escaped)) if escaped.contains("\\x") => Cow::Owned(unescaped(escaped)),
        _ => Cow::Borrowed(at.token.as_bytes()),
    }
}

/// The bytes of `\xe2\x80`, as the older interface writes a part of a character.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(first) = rest.first() {
        let digits = rest.strip_prefix(b"\\x").and_then(|rest| rest.get(..2));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = &rest[1..];
            }
        }
    }
    bytes
}

/// Whether a token adds nothing at an end of an answer: white space, or a character that was cut off.
fn is_blank(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.chars().all(|c| c.is_whitespace() || c == '\u{fffd}')
}

/// Whether a token stands for nothing but parts of characters.
fn is_part(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.chunks(REPLACED.len()).all(|part| part == REPLACED)
}

fn is_special(bytes: &[u8]) -> bool {
    spells_special_token(&String::from_utf8_lossy(bytes))
}

/// Most bytes of a text that a token can spell, with the space before it.
fn room_of(bytes: &[u8]) -> usize {
    // A character of four bytes may stand as one of three.
    bytes.len() + bytes.len() / REPLACED.len() + 1
}

/// Where the text may stand that tokens have spelt so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: usize,
    within: Within,
}

/// What a place stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Between characters or their bytes.
    Nothing,
    /// Parts of characters in the tokens, for which the text has had none yet.
    Unread,
    /// Parts of characters in the tokens, for which it had some.
    Read,
    /// The bytes of a character that the text itself has as U+FFFD.
    Replaced,
}

/// How many of the tokens spell the text, and the token behind them that ended it, if there is one. `None` where they spell another text, or go on behind it.
fn ends<'a>(
    text: &str,
    spelt: &'a [Cow<'_, [u8]>],
    stop: &[String],
) -> Option<(usize, Option<&'a [u8]>)> {
    if text.is_empty() {
        return Some((0, behind(&[], spelt, stop)?));
    }
    let mut places = vec![Place {
        at: 0,
        within: Within::Nothing,
    }];
    for (token, bytes) in spelt.iter().enumerate() {
        // Tokens that a server decodes one by one lose the space before a word.
        let spaced = places.iter().filter_map(|place| {
            let space = text.as_bytes().get(place.at) == Some(&b' ');
            let (at, within) = (place.at + 1, place.within);
            space.then_some(Place { at, within })
        });
        let before: Vec<Place> = places.iter().copied().chain(spaced).collect();
        let mut now = before.clone();
        let mut rest: &[u8] = bytes;
        while !rest.is_empty() && !now.is_empty() {
            let part = rest.starts_with(REPLACED);
            let through = now
                .iter()
                .any(|place| place.at == text.len() && !(part && place.within == Within::Read));
            // A string that ends answers may begin within a token.
            if through
                && (is_blank(rest) || !stop.is_empty())
                && let Some(end) = behind(rest, &spelt[token + 1..], stop)
            {
                return Some((token + 1, end));
            }
            let length = match part {
                true => REPLACED.len(),
                false => 1,
            };
            let mut next = Vec::new();
            now.iter()
                .for_each(|place| step(text, *place, &rest[..length], &mut next));
            rest = &rest[length..];
            // White space before the text was taken off.
            let head = std::str::from_utf8(&bytes[..bytes.len() - rest.len()]);
            if token == 0 && !is_blank(rest) && head.is_ok_and(|head| head.trim().is_empty()) {
                next.extend(&before);
            }
            now = next;
        }
        let mut through = now.iter().filter(|place| place.at == text.len());
        if let Some(place) = through.find(|place| place.within != Within::Unread) {
            // Its last character may have further parts.
            let parts = spelt[token + 1..].iter().take_while(|bytes| is_part(bytes));
            let read = place.within == Within::Read;
            let last = token + 1 + if read { parts.count() } else { 0 };
            if let Some(end) = behind(&[], &spelt[last..], stop) {
                return Some((last, end));
            }
        }
        if now.is_empty() {
            return None;
        }
        places = now;
    }
    None
}

/// The places behind one more byte of a token, or behind what stands for a part of a character.
fn step(text: &str, place: Place, spelt: &[u8], next: &mut Vec<Place>) {
    let rest = &text.as_bytes()[place.at..];
    let mut reach = |length: usize, within: Within| {
        let at = place.at + length;
        let found = Place { at, within };
        if !next.contains(&found) {
            next.push(found);
        }
    };
    if spelt == REPLACED {
        let character = text.get(place.at..).and_then(|rest| rest.chars().next());
        if let Some(character) = character.filter(|c| !c.is_ascii()) {
            reach(character.len_utf8(), Within::Read);
        }
        let read = place.within == Within::Read;
        reach(0, if read { Within::Read } else { Within::Unread });
        return;
    }
    if place.within == Within::Unread {
        return;
    }
    if rest.starts_with(spelt) {
        reach(spelt.len(), Within::Nothing);
    }
    if !spelt.is_ascii() {
        if rest.starts_with(REPLACED) {
            reach(REPLACED.len(), Within::Replaced);
        }
        if place.within == Within::Replaced {
            reach(0, Within::Replaced);
        }
    }
}

/// The token that ended the answer, if one stands right behind it. `None` where the tokens go on otherwise: with anything but special tokens,
/// white space, or a string that ends answers.
fn behind<'a>(
    rest: &[u8],
    further: &'a [Cow<'_, [u8]>],
    stop: &[String],
) -> Option<Option<&'a [u8]>> {
    let ends = |bytes: &[u8]| bytes.is_empty() || is_special(bytes);
    let end = further.first().filter(|bytes| ends(bytes));
    let is_whole = is_blank(rest);
    if is_whole && further.iter().all(|bytes| ends(bytes) || is_blank(bytes)) {
        return Some(end.map(AsRef::as_ref));
    }
    let is_named = |token: &[u8]| {
        let closed = matches!(
            (token.first(), token.last()),
            (Some(b'<'), Some(b'>')) | (Some(b'['), Some(b']'))
        );
        closed || (token.starts_with(b"<") && stop.is_empty())
    };
    if let [last] = further
        && is_whole
        && is_named(last)
    {
        // By another name than those that are known.
        return Some(Some(last));
    }
    let bytes = [rest, &further.concat()].concat();
    let text = String::from_utf8_lossy(&bytes);
    let blank = text.len() - text.trim_start().len();
    let stopped = stop.iter().filter(|stop| !stop.is_empty()).any(|stop| {
        let mut places = text.match_indices(stop.as_str());
        places.next().is_some_and(|(at, _)| at <= blank)
    });
    stopped.then_some(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_record::FinishReason;

    /// The tokens that are the answer's, with bars between; `None` where that is not known.
    fn found(tokens: &[&str], text: &str, thinking: Option<&str>, stop: &[&str]) -> Option<String> {
        let mut completion = Completion::of_text(text.to_owned(), FinishReason::Stop);
        completion.thinking = thinking.map(str::to_owned);
        let stop: Vec<String> = stop.iter().map(|stop| (*stop).to_owned()).collect();
        let positions: Vec<Position> = tokens
            .iter()
            .map(|token| Position::of(token, -0.5))
            .collect();
        let own = own(&positions, &completion, &stop)?.positions;
        let tokens: Vec<&str> = own.iter().map(|at| at.token.as_str()).collect();
        Some(tokens.join("|"))
    }

    fn some(tokens: &str) -> Option<String> {
        Some(tokens.to_owned())
    }

    #[test]
    fn tokens_that_spell_something_else_are_not_the_answers() {
        for tokens in [
            &["foo", "bar"][..],
            &["hel"],
            &["lo"],
            &["hel", "lo", "x"],
            &["hel", "lo", " there"],
            &["hel", "lo", "<|eot|>", "x"],
            &["hel", "\u{fffd}", "lo"],
            &["no ", "hel", "lo"],
            &["hello."],
        ] {
            assert_eq!(found(tokens, "hello", None, &[]), None, "{tokens:?}");
        }
        assert_eq!(found(&["no"], "", None, &[]), None);
    }

    #[test]
    fn an_end_token_is_the_answers_and_marks_before_it_are_not() {
        let all = |tokens: &[&str], text: &str| {
            found(tokens, text, None, &[]).expect("those of the answer")
        };
        assert_eq!(all(&["hel", "lo"], "hello"), "hel|lo");
        assert_eq!(all(&["hel", "lo", "<|eot|>"], "hello"), "hel|lo|<|eot|>");
        assert_eq!(all(&["hel", "lo", "</s>", "\n"], "hello"), "hel|lo|</s>");
        assert_eq!(all(&["hel", "lo", "<turn|>"], "hello"), "hel|lo|<turn|>");
        assert_eq!(all(&["hel", "lo", ""], "hello"), "hel|lo|");
        assert_eq!(
            all(&["<s>", "\n", " hel", "lo\n", "\n"], "hello"),
            " hel|lo\n"
        );
        assert_eq!(all(&["\n\n", "hello"], "\n\nhello"), "\n\n|hello");
        assert_eq!(all(&["<|eot|>"], ""), "<|eot|>");
        assert_eq!(all(&[], ""), "");
    }

    #[test]
    fn a_space_that_single_tokens_lose_is_no_other_text() {
        let own = found(
            &["It", "is", "a", "", "tree", "."],
            "It is a  tree.",
            None,
            &[],
        );
        assert_eq!(own, some("It|is|a||tree|."));
    }

    #[test]
    fn reasoning_that_was_taken_out_is_not_the_answers() {
        let tokens = ["<think>", "yes", "</think>", "\n\n", "yes", "<|eot|>"];
        assert_eq!(found(&tokens, "yes", Some("yes"), &[]), some("yes|<|eot|>"));
        assert_eq!(found(&tokens, "yes", None, &[]), None);
        assert_eq!(found(&["hm", ","], "", Some("hm,"), &[]), some(""));
        assert_eq!(found(&["hm", ","], "no", Some("hm,"), &[]), None);
        let text = "<think>yes</think>\n\nyes";
        assert_eq!(found(&tokens, text, None, &[]), some(&tokens.join("|")));
    }

    #[test]
    fn what_stands_behind_a_stop_string_is_not_the_answers() {
        let tokens = ["answer", " STOP", " more"];
        for stop in [" STOP", "STOP", "STOP more"] {
            let own = found(&tokens, "answer", None, &[stop]);
            assert_eq!(own, some("answer"), "{stop:?}");
        }
        for stop in [&["more"][..], &["", "other"], &[]] {
            assert_eq!(found(&tokens, "answer", None, stop), None, "{stop:?}");
        }
        let lines = ["one.\n", "Q", ":"];
        assert_eq!(found(&lines, "one.", None, &["\n"]), some("one.\n"));
        assert_eq!(found(&lines, "one.", None, &["\nQ"]), some("one.\n"));
    }

    #[test]
    fn a_stop_string_may_begin_within_a_token() {
        for (tokens, text, stop, own) in [
            (
                &["Hello", ".", " STOP", " more"][..],
                "Hello. ",
                "STOP",
                "Hello|.| STOP",
            ),
            (
                &["{\"a\":", " \"b", "\"}"],
                "{\"a\": \"b\"",
                "}",
                "{\"a\":| \"b|\"}",
            ),
            (&["hel", "lo", "[EOS]"], "hello", "x", "hel|lo|[EOS]"),
        ] {
            assert_eq!(found(tokens, text, None, &[stop]), some(own));
        }
        assert_eq!(found(&["Hello", "!\""], "Hello!", None, &["x"]), None);
    }

    #[test]
    fn the_tags_of_empty_reasoning_are_not_the_answers() {
        let tokens = ["<think>", "\n\n", "</think>", "Hello", ".", "<|im_end|>"];
        assert_eq!(
            found(&tokens, "Hello.", None, &[]),
            some("Hello|.|<|im_end|>")
        );
    }

    #[test]
    fn the_beginning_of_a_text_is_known_by_its_tokens() {
        let begins = |tokens: &[&str], text: &str| {
            let tokens = tokens.iter().map(|token| Position::of(token, -0.5));
            let completion = Completion::of_text(text.to_owned(), FinishReason::Stop);
            begin(&tokens.collect::<Vec<_>>(), &completion)
        };
        assert!(begins(&["\n\n", "un", "safe"], "unsafe\nS1"));
        assert!(!begins(&["safe"], "unsafe\nS1"));
        assert!(!begins(&["\n"], "unsafe\nS1") && !begins(&[], "unsafe"));
    }

    #[test]
    fn parts_of_characters_spell_them() {
        let parts = "\u{fffd}";
        let own = |tokens: &[&str], text: &str| {
            let own = found(tokens, text, None, &[]);
            own.map_or(0, |own| own.split('|').count())
        };
        assert_eq!(own(&["a", parts, parts, parts, "b"], "a\u{1f600}b"), 5);
        assert_eq!(
            own(
                &["a", parts, "\u{fffd}\u{fffd}", parts],
                "a\u{4e00}\u{4e8c}"
            ),
            4
        );
        assert_eq!(own(&["a", parts], "a"), 1);
        assert_eq!(own(&["a", parts], "a\u{fffd}"), 2);
        assert_eq!(own(&["a", parts, "b"], "axb"), 0);
        assert_eq!(own(&["bytes:\\xc3", "bytes:\\xa9", "!"], "\u{e9}!"), 3);
        let partial = |bytes: &[u8]| Position {
            bytes: Some(bytes.to_vec()),
            ..Position::of("?", -0.5)
        };
        let positions = [partial(&[0xc3]), partial(&[0xa9]), partial(&[0xe4, 0xb8])];
        for text in ["\u{e9}\u{fffd}", "\u{e9}"] {
            let completion = Completion::of_text(text.to_owned(), FinishReason::Length);
            assert!(
                super::own(&positions, &completion, &[]).is_some(),
                "{text:?}"
            );
        }
    }
}
