//! How mistral.rs hears that an answer has ended.

use std::collections::BTreeMap;

use crate::recorder::Ending;

/// How mistral.rs is told that an answer has ended: with the first end token that it accepts as a stop token.
///
/// It refuses a token that another one begins with. It keeps special tokens apart from text, so a special token is
/// safe when no other special token begins with it.
pub(crate) fn ending(end_tokens: &[u32], special: &BTreeMap<u32, String>) -> Ending {
    let safe = |id: &&u32| {
        special.get(id).is_some_and(|spelling| {
            !special
                .iter()
                .any(|(other, s)| other != *id && s.starts_with(spelling.as_str()))
        })
    };
    match end_tokens.iter().find(safe) {
        Some(&id) => Ending::Token(id),
        None => Ending::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_token_that_another_begins_with_is_not_given_to_mistral_rs() {
        let special = BTreeMap::from([
            (1, "<|end|>".to_owned()),
            (2, "<|end|>2".to_owned()),
            (3, "<|stop|>".to_owned()),
        ]);
        assert_eq!(ending(&[1, 2], &special), Ending::Token(2));
        assert_eq!(ending(&[1, 3], &special), Ending::Token(3));
        assert_eq!(ending(&[1, 300], &special), Ending::Failure);
        assert_eq!(ending(&[], &special), Ending::Failure);
    }
}
