use super::*;

#[test]
fn operands_reach_as_far_as_they_bind() {
    for (source, rewritten) in [
        ("a", "a"),
        ("a >= 3", r#"__compare(">=", a, 3, "a", "3")"#),
        (
            "a | int + 1 == b.c[0] and not d",
            r#"__compare("==", a | int + 1, b.c[0], "a | int + 1", "b.c[0]") and not __condition(d, "d")"#,
        ),
        (
            "'if a > 3' if (a > 3) else x or y",
            r#"'if a > 3' if __condition((__compare(">", a, 3, "a", "3")), "(a > 3)") else __condition(x, "x") or y"#,
        ),
        (
            "a not in [1, 2]",
            r#"__compare("not in", a, [1, 2], "a", "[1, 2]")"#,
        ),
        ("a is not in [1]", "a is not in [1]"),
        ("a.if | or", "a.if | or"),
        (
            "f(x=a < 2, y={'k': b})",
            r#"f(x=  __compare("<", a, 2, "a", "2"),   y=  {'k':  b})"#,
        ),
        (
            "1 < a < 1.5e-3",
            r#"(__compare("<", 1, a, "1", "a") and __compare("<", a, 1.5e-3, "a", "1.5e-3"))"#,
        ),
        (
            "1 < a not in b",
            r#"(__compare("<", 1, a, "1", "a") and __compare("not in", a, b, "a", "b"))"#,
        ),
        (
            "b and a is not in [1]",
            r#"__condition(b, "b") and a is not in [1]"#,
        ),
    ] {
        let squeezed = |text: &str| text.replace(' ', "");
        assert_eq!(
            squeezed(&expression(source)),
            squeezed(rewritten),
            "{source}"
        );
    }
}

#[test]
fn tags_are_told_from_text() {
    for (source, rewritten) in [
        ("a > 3", "a > 3"),
        (
            "x {{- a > 3 }} > {# a > 3 #}{% raw %}{{ a > 3 }}{% endraw %}",
            "x {{- __compare(\">\", a, 3, \"a\", \"3\")}} > {# a > 3 #}{% raw %}{{ a > 3 }}{% endraw %}",
        ),
        (
            "{% if a %}{{ '}}' }}{%- elif b == 'x' -%}{% endif %}",
            "{% if __condition(a, \"a\")%}{{'}}'}}{%- elif __compare(\"==\", b, 'x', \"b\", \"'x'\")-%}{% endif %}",
        ),
        (
            "{% for a in b if a > 1 %}{% endfor %}",
            "{% for a in b if __compare(\">\", a, 1, \"a\", \"1\")%}{% endfor %}",
        ),
        (
            "{% set x = a == 1 %}{{ {'a': 1} }}",
            "{% set x= __compare(\"==\", a, 1, \"a\", \"1\")%}{{{'a': 1}}}",
        ),
    ] {
        let squeezed = |text: &str| text.replace(' ', "");
        assert_eq!(squeezed(&template(source)), squeezed(rewritten), "{source}");
    }
}

/// The rules of jinja's lexer: a fraction and an exponent belong to a number, a dot before a name does not.
#[test]
fn numbers_are_one_token() {
    for (source, wanted) in [
        ("1.5e-3+2", &["1.5e-3", "+", "2"][..]),
        ("12e+40-a", &["12e+40", "-", "a"]),
        ("10.25 1_000", &["10.25", "1_000"]),
        ("1.a", &["1", ".", "a"]),
        ("3.", &["3", "."]),
        ("3+4", &["3", "+", "4"]),
        ("123.456E-12)", &["123.456E-12", ")"]),
        ("'a\\'b'c", &["'a\\'b'", "c"]),
        ("'a\\\\'c", &["'a\\\\'", "c"]),
    ] {
        let found = tokens(source);
        let found = found.unwrap_or_default();
        let texts: Vec<&str> = found.iter().map(|token| token.text(source)).collect();
        let squeezed: String = wanted.concat();
        assert_eq!(texts, wanted, "{source}");
        assert_eq!(squeezed, source.replace(' ', ""));
    }
}

#[test]
fn a_constant_that_stands_as_a_condition_is_found() {
    for (source, found) in [
        ("n == 1 or 2", Some("2")),
        ("kind == 'a' or 'b'", Some("'b'")),
        ("n and (k == 2 or not 3.5)", Some("3.5")),
        ("1", Some("1")),
        ("'a'", None),
        ("n == 1 or n == 2", None),
        ("n in [1, 2] and k", None),
        ("(n + 1) * (k or 2)", None),
        ("true", None),
        ("f(1) or a['b']", None),
    ] {
        assert_eq!(constant(source), found, "{source}");
    }
}
