//! Names that are cut (`question[:100]`): minijinja leaves them out of the names that a template reads.

use std::collections::HashSet;

use super::{Kind, Token, end_of_tag, tokens};

/// The names that the tags of a template cut.
pub(in crate::prompt) fn of_template(template: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let close = if rest[start..].starts_with("{{") {
            "}}"
        } else {
            "%}"
        };
        let inside = &rest[start + 2..];
        let Some(length) = end_of_tag(inside, close) else {
            break;
        };
        names.extend(of_expression(inside[..length].trim_matches(['-', '+'])));
        rest = &inside[length + 2..];
    }
    names
}

/// The names that an expression cuts.
pub(in crate::prompt) fn of_expression(source: &str) -> HashSet<String> {
    let tokens = tokens(source).unwrap_or_default();
    let mut names = HashSet::new();
    for index in 1..tokens.len() {
        if tokens[index].is(source, "[") && cuts(source, &tokens[index..]) {
            names.extend(
                roots(source, &tokens[..index])
                    .into_iter()
                    .map(str::to_owned),
            );
        }
    }
    names
}

/// Whether a bracket that opens here has a colon of its own.
fn cuts(source: &str, tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ if depth == 1 && token.is(source, ":") => return true,
            _ => {}
        }
        if depth == 0 {
            return false;
        }
    }
    false
}

/// The names that what ends here begins with: `a` of `a.b[0]`, all of those in brackets.
fn roots<'s>(source: &'s str, tokens: &[Token]) -> Vec<&'s str> {
    let mut names = Vec::new();
    let mut end = tokens.len();
    while let Some(last) = end.checked_sub(1) {
        let is_field = |at: usize| at > 0 && matches!(tokens[at - 1].text(source), "." | "|");
        match tokens[last].kind {
            Kind::Close => {
                let mut depth = 0_usize;
                let opens = (0..=last).rev().find(|&at| {
                    depth += usize::from(tokens[at].kind == Kind::Close);
                    depth -= usize::from(tokens[at].kind == Kind::Open);
                    depth == 0
                });
                let Some(opens) = opens else {
                    break;
                };
                let within =
                    (opens..last).filter(|&at| tokens[at].kind == Kind::Word && !is_field(at));
                names.extend(within.map(|at| tokens[at].text(source)));
                end = opens;
            }
            Kind::Word => {
                if !is_field(last) {
                    names.push(tokens[last].text(source));
                    break;
                }
                end = last - 1;
            }
            _ => break,
        }
    }
    names
}
