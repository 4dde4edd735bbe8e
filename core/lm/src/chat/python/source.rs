//! What is done to the source of a template before it is compiled.

/// Python's long escapes (`\U0001F600`), which minijinja does not know, as the characters that they are.
pub(super) fn with_long_escapes(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("\\U") {
        let escaped = rest[..at].chars().rev().take_while(|&c| c == '\\').count() % 2 == 1;
        let digits = rest.get(at + 2..at + 10);
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match code.and_then(char::from_u32).filter(|_| !escaped) {
            Some(c) => {
                out.push_str(&rest[..at]);
                out.push(c);
                rest = &rest[at + 10..];
            }
            None => {
                out.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
            }
        }
    }
    out + rest
}

/// Line ends as Jinja2 reads them: any kind is one new line.
pub(super) fn with_plain_newlines(source: &str) -> String {
    source.replace("\r\n", "\n").replace('\r', "\n")
}

/// Replaces `{% generation %}` ... `{% endgeneration %}`, which marks the assistant's words for TRL and renders as its
/// content, by a block that minijinja knows.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let end = start + length + 2;
        let tag = &rest[start..end];
        out.push_str(&rest[..start]);
        let keyword = tag[2..tag.len() - 2].trim_matches(|c: char| c == '-' || c == '+');
        match keyword.trim() {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}
