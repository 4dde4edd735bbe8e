//! Comparisons and conditions that look at what their values are.
//!
//! minijinja orders values of different kinds by their kind, and takes every text but the empty one for true. So
//! expressions are rewritten before they are compiled: `a < b` becomes a call that compares or says why it cannot, and what
//! stands as a condition goes through a call that refuses texts which mean another type.

pub(super) mod sliced;

use std::borrow::Cow;

/// Name of the function that comparisons become.
pub(super) const COMPARE: &str = "__compare";
/// Name of the function that conditions go through.
pub(super) const CONDITION: &str = "__condition";

/// An expression with its comparisons rewritten.
pub(super) fn expression(source: &str) -> Cow<'_, str> {
    match tokens(source) {
        Some(tokens) => Cow::Owned(rewrite(source, &tokens)),
        // What cannot be read here is told by the compiler.
        None => Cow::Borrowed(source),
    }
}

/// A template with the expressions in its tags rewritten.
#[expect(clippy::while_let_loop, reason = "the condition is a chain of its own")]
pub(super) fn template(source: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = source;
    loop {
        let Some(start) = rest
            .find("{{")
            .into_iter()
            .chain(rest.find("{%"))
            .chain(rest.find("{#"))
            .min()
        else {
            break;
        };
        let close = match &rest[start..start + 2] {
            "{#" => "#}",
            "{{" => "}}",
            _ => "%}",
        };
        let inside = &rest[start + 2..];
        let length = match close {
            "#}" => inside.find(close),
            _ => end_of_tag(inside, close),
        };
        let Some(length) = length else { break };
        let tag = &inside[..length];
        out.push_str(&rest[..start + 2]);
        match close {
            "#}" => out.push_str(tag),
            "}}" => out.push_str(&in_tag(tag, expression)),
            _ => out.push_str(&in_tag(tag, statement)),
        }
        out.push_str(close);
        rest = &inside[length + 2..];
        if close == "%}" && tag.trim_matches(['-', '+', ' ', '\n', '\t', '\r']) == "raw" {
            let end = rest.find("endraw").unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            let close = rest.find("%}").map_or(rest.len(), |at| at + 2);
            out.push_str(&rest[..close]);
            rest = &rest[close..];
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(source);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where a tag ends: texts and brackets inside it are passed over.
fn end_of_tag(inside: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    let mut open = 0_usize;
    for (at, c) in inside.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if open == 0 && inside[at..].starts_with(close) => return Some(at),
            None => match c {
                '"' | '\'' => quote = Some(c),
                '{' => open += 1,
                '}' => open = open.saturating_sub(1),
                _ => {}
            },
        }
    }
    None
}

/// Leaves the marks that trim white space where they are.
fn in_tag(tag: &str, rewrite: fn(&str) -> Cow<'_, str>) -> String {
    let inner = tag.strip_prefix(['-', '+']).unwrap_or(tag);
    let before = &tag[..tag.len() - inner.len()];
    let trimmed = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let after = &inner[trimmed.len()..];
    let rewritten = rewrite(trimmed);
    // A sign that begins an expression is no mark.
    let is_sign = before.is_empty() && rewritten.starts_with(['-', '+']);
    let space = if is_sign { " " } else { "" };
    format!("{before}{space}{rewritten}{after}")
}

fn statement(source: &str) -> Cow<'_, str> {
    let Some(tokens) = tokens(source) else {
        return Cow::Borrowed(source);
    };
    let Some(first) = tokens.first() else {
        return Cow::Borrowed(source);
    };
    let keyword = first.text(source);
    let head = &source[..first.end];
    match keyword {
        "if" | "elif" => Cow::Owned(format!("{head} {}", either(source, &tokens[1..], true))),
        "for" => {
            let depth = top(&tokens);
            let is = |index: &usize, word: &str| depth[*index] && tokens[*index].is(source, word);
            let Some(over) = (0..tokens.len()).find(|index| is(index, "in")) else {
                return Cow::Borrowed(source);
            };
            let end = (over..tokens.len()).find(|index| is(index, "if"));
            let list = &tokens[over + 1..end.unwrap_or(tokens.len())];
            let mut out = format!("{} {}", &source[..tokens[over].end], rewrite(source, list));
            if let Some(end) = end {
                let mut condition = &tokens[end + 1..];
                let mut tail = "";
                if let [rest @ .., last] = condition
                    && last.is(source, "recursive")
                {
                    (condition, tail) = (rest, " recursive");
                }
                out = format!("{out} if {}{tail}", either(source, condition, true));
            }
            Cow::Owned(out)
        }
        _ => Cow::Owned(format!("{head} {}", rewrite(source, &tokens[1..]))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Word,
    /// A text or a number.
    Literal,
    Operator,
    Open,
    Close,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Token {
    fn text<'s>(&self, source: &'s str) -> &'s str {
        &source[self.start..self.end]
    }

    fn is(&self, source: &str, text: &str) -> bool {
        self.kind != Kind::Literal && self.text(source) == text
    }
}

/// The tokens of an expression; `None` where it is none.
fn tokens(source: &str) -> Option<Vec<Token>> {
    const TWO: [&str; 6] = ["==", "!=", "<=", ">=", "//", "**"];
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        let (kind, length) = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if c == '"' || c == '\'' {
            let mut escaped = false;
            let mut chars = rest.char_indices().skip(1);
            let end = chars.find(|&(_, d)| {
                let ends = d == c && !escaped;
                escaped = d == '\\' && !escaped;
                ends
            })?;
            (Kind::Literal, end.0 + 1)
        } else if c.is_ascii_digit() {
            let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_');
            let mut length = rest.bytes().take_while(part).count();
            // A fraction, but not the field of something.
            if rest[length..].starts_with('.')
                && rest
                    .as_bytes()
                    .get(length + 1)
                    .is_some_and(u8::is_ascii_digit)
            {
                length += 1 + rest[length + 1..].bytes().take_while(part).count();
            }
            if rest[..length].ends_with(['e', 'E']) && rest[length..].starts_with(['+', '-']) {
                length += 1 + rest[length + 1..]
                    .bytes()
                    .take_while(u8::is_ascii_digit)
                    .count();
            }
            (Kind::Literal, length)
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            (Kind::Word, length)
        } else if TWO.iter().any(|two| rest.starts_with(two)) {
            (Kind::Operator, 2)
        } else {
            match c {
                '(' | '[' | '{' => (Kind::Open, 1),
                ')' | ']' | '}' => (Kind::Close, 1),
                '<' | '>' | '=' | '|' | '~' | '+' | '-' | '*' | '/' | '%' | '.' | ',' | ':' => {
                    (Kind::Operator, 1)
                }
                _ => return None,
            }
        };
        found.push(Token {
            kind,
            start: at,
            end: at + length,
        });
        at += length;
    }
    Some(found)
}

/// Which tokens stand in no bracket.
fn top(tokens: &[Token]) -> Vec<bool> {
    let mut depth = 0_usize;
    let mut out = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.kind == Kind::Close {
            depth = depth.saturating_sub(1);
        }
        out.push(depth == 0);
        depth += usize::from(token.kind == Kind::Open);
    }
    out
}

/// Parts between separators that stand in no bracket, with the separators.
fn split(
    tokens: &[Token],
    mut is_separator: impl FnMut(usize) -> bool,
) -> (Vec<&[Token]>, Vec<Token>) {
    let outside = top(tokens);
    let (mut parts, mut separators, mut start) = (Vec::new(), Vec::new(), 0);
    for index in 0..tokens.len() {
        if outside[index] && is_separator(index) {
            parts.push(&tokens[start..index]);
            separators.push(tokens[index]);
            start = index + 1;
        }
    }
    parts.push(&tokens[start..]);
    (parts, separators)
}

/// Whether a word at that place is an operator: not the name of a field, a filter or a test.
fn is_operator(source: &str, tokens: &[Token], index: usize) -> bool {
    let Some(before) = index.checked_sub(1).map(|before| tokens[before]) else {
        return true;
    };
    let of_test = before.is(source, "is")
        || (before.is(source, "not") && index > 1 && tokens[index - 2].is(source, "is"));
    !(of_test || before.is(source, ".") || before.is(source, "|"))
}

/// A list of expressions, arguments or fields.
fn rewrite(source: &str, tokens: &[Token]) -> String {
    let (parts, separators) = split(tokens, |index| {
        [",", ":", "="].iter().any(|c| tokens[index].is(source, c))
    });
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        out.push_str(&either(source, part, false));
        if let Some(separator) = separators.get(index) {
            out.push_str(separator.text(source));
            out.push(' ');
        }
    }
    out
}

/// `a if condition else b`.
fn either(source: &str, tokens: &[Token], is_condition: bool) -> String {
    let outside = top(tokens);
    let find = |word: &str, from: usize| {
        (from..tokens.len()).find(|&index| {
            outside[index] && tokens[index].is(source, word) && is_operator(source, tokens, index)
        })
    };
    let Some(at) = find("if", 0) else {
        return any_of(source, tokens, is_condition);
    };
    let end = find("else", at);
    let value = any_of(source, &tokens[..at], is_condition);
    let condition = any_of(source, &tokens[at + 1..end.unwrap_or(tokens.len())], true);
    match end {
        Some(end) => {
            let other = either(source, &tokens[end + 1..], is_condition);
            format!("{value} if {condition} else {other}")
        }
        None => format!("{value} if {condition}"),
    }
}

/// `a or b`: all but the last are conditions; the value may be any of them.
fn any_of(source: &str, tokens: &[Token], is_condition: bool) -> String {
    joined(source, tokens, "or", is_condition, |part, is_condition| {
        joined(source, part, "and", is_condition, |part, is_condition| {
            negated(source, part, is_condition)
        })
    })
}

fn joined(
    source: &str,
    tokens: &[Token],
    word: &str,
    is_condition: bool,
    rewrite: impl Fn(&[Token], bool) -> String,
) -> String {
    let (parts, _) = split(tokens, |index| {
        tokens[index].is(source, word) && is_operator(source, tokens, index)
    });
    let last = parts.len() - 1;
    let parts = parts.iter().enumerate();
    let parts: Vec<String> = parts
        .map(|(index, part)| rewrite(part, is_condition || index < last))
        .collect();
    parts.join(&format!(" {word} "))
}

/// A number or text that stands as a condition by itself, as in `n == 1 or 2`: it says the same of every row.
pub(super) fn constant(source: &str) -> Option<&str> {
    constant_of(source, &tokens(source)?)
}

fn constant_of<'s>(source: &'s str, tokens: &[Token]) -> Option<&'s str> {
    let (parts, _) = split(tokens, |index| {
        let joins = ["or", "and"]
            .iter()
            .any(|word| tokens[index].is(source, word));
        joins && is_operator(source, tokens, index)
    });
    let several = parts.len() > 1;
    parts.into_iter().find_map(|part| match part {
        [first, rest @ ..] if first.is(source, "not") => constant_of(source, rest),
        [first, inner @ .., last] if first.is(source, "(") && last.is(source, ")") => {
            // The brackets are around all of it.
            let whole = top(&part[..part.len() - 1])[1..]
                .iter()
                .all(|outside| !outside);
            whole.then(|| constant_of(source, inner)).flatten()
        }
        [one] if one.kind == Kind::Literal => {
            let text = one.text(source);
            (several || text.starts_with(|c: char| c.is_ascii_digit())).then_some(text)
        }
        _ => None,
    })
}

fn negated(source: &str, tokens: &[Token], is_condition: bool) -> String {
    match tokens {
        [first, rest @ ..] if first.is(source, "not") => {
            format!("not {}", negated(source, rest, true))
        }
        _ => compared(source, tokens, is_condition),
    }
}

fn compared(source: &str, tokens: &[Token], is_condition: bool) -> String {
    const SIGNS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
    let (parts, operators) = split(tokens, |index| {
        let token = &tokens[index];
        match token.kind {
            Kind::Operator => SIGNS.contains(&token.text(source)),
            Kind::Word => token.text(source) == "in" && is_operator(source, tokens, index),
            _ => false,
        }
    });
    // The word `not` before `in` is a part of the operator.
    let without_not = |part: &[Token]| match part {
        [rest @ .., last] if last.is(source, "not") => (rest.len(), true),
        all => (all.len(), false),
    };
    if operators.is_empty() {
        let value = operand(source, tokens);
        return match is_condition && !tokens.is_empty() {
            true => format!("{CONDITION}({value}, {})", quoted(source, tokens)),
            false => value,
        };
    }
    let mut calls = Vec::new();
    for (index, operator) in operators.iter().enumerate() {
        let mut name = operator.text(source).to_owned();
        let (length, is_not) = without_not(parts[index]);
        let left = match name == "in" && is_not {
            true => {
                name = "not in".to_owned();
                &parts[index][..length]
            }
            false => parts[index],
        };
        let is_last = index + 1 == operators.len();
        let next_in = operators
            .get(index + 1)
            .is_some_and(|next| next.is(source, "in"));
        let right = match !is_last && next_in {
            true => &parts[index + 1][..without_not(parts[index + 1]).0],
            false => parts[index + 1],
        };
        calls.push(format!(
            "{COMPARE}(\"{name}\", {}, {}, {}, {})",
            operand(source, left),
            operand(source, right),
            quoted(source, left),
            quoted(source, right)
        ));
    }
    match calls.len() {
        1 => calls.remove(0),
        // A chain holds where each of its links does.
        _ => format!("({})", calls.join(" and ")),
    }
}

/// What is neither a comparison nor a condition, with those inside its brackets rewritten.
fn operand(source: &str, tokens: &[Token]) -> String {
    let mut out = String::new();
    let mut index = 0;
    let mut end = tokens.first().map_or(0, |token| token.start);
    while let Some(token) = tokens.get(index) {
        out.push_str(&source[end..token.start]);
        out.push_str(token.text(source));
        end = token.end;
        index += 1;
        if token.kind == Kind::Open {
            let outside = top(&tokens[index - 1..]);
            let close = (1..outside.len()).find(|&at| outside[at]);
            let close = index - 1 + close.unwrap_or(outside.len());
            out.push_str(&rewrite(source, &tokens[index..close.min(tokens.len())]));
            if let Some(token) = tokens.get(close) {
                out.push_str(token.text(source));
                end = token.end;
            }
            index = close + 1;
        }
    }
    out
}

/// The words of an operand, as a text of the expression.
fn quoted(source: &str, tokens: &[Token]) -> String {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return "\"\"".to_owned();
    };
    serde_json::Value::from(&source[first.start..last.end]).to_string()
}

#[cfg(test)]
mod tests;
