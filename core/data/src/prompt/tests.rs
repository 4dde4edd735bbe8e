use super::*;
use serde_json::json;

fn row() -> Row {
    Row {
        id: "7".into(),
        columns: [
            ("question".to_owned(), json!("who <is> it?")),
            ("n".to_owned(), json!(3)),
        ]
        .into_iter()
        .collect(),
    }
}

#[test]
fn rows_fill_templates_without_escaping() {
    let templates = Templates::default();
    let text = templates
        .fill("{{ shuffled.n }}: {{ question }}\n", &row(), Some(&row()))
        .unwrap();
    assert_eq!(text, "3: who <is> it?\n");
    assert!(
        templates
            .holds("n > 2 and 'who' in question", &row())
            .unwrap()
    );
}

#[test]
fn a_missing_column_is_named() {
    let error = Templates::default()
        .fill("{{ answer }}", &row(), None)
        .unwrap_err();
    let text = driftgauge_problem::Problem::from(error).to_string();
    assert!(text.contains("there is no column `answer`"), "{text}");
    assert!(text.contains("columns are `question`, `n`"), "{text}");
}

#[test]
fn what_ends_a_template_is_no_expression() {
    for text in ["n }} > 2", "{{ n }} }} > 2", "n -}}{"] {
        let error = Templates::default().holds(text, &row()).unwrap_err();
        assert!(matches!(error, PromptError::Syntax { .. }), "{error}");
    }
    let brace = Templates::default().holds("'}}' not in question", &row());
    assert!(brace.unwrap());
}

#[test]
fn deep_brackets_are_refused_and_long_chains_are_not() {
    let templates = Templates::default();
    let deep = format!("n{} > 2", "[".repeat(300));
    assert!(templates.holds(&deep, &row()).is_err());
    let deep = format!("{{{{ question{} }}}}", "{".repeat(300));
    assert!(templates.fill(&deep, &row(), None).is_err());
    for (word, holds) in [(" and ", true), (" or ", true)] {
        let chain = vec!["(n > 2)"; 120].join(word);
        assert_eq!(templates.holds(&chain, &row()).unwrap(), holds, "{word}");
    }
    let chain = vec!["n"; 120].join(" + ");
    assert!(templates.holds(&format!("{chain} == 360"), &row()).unwrap());
}

fn with(column: &str, value: Value) -> Row {
    let mut row = row();
    row.columns.insert(column.to_owned(), value);
    row
}

fn said<T: std::fmt::Debug>(result: Result<T, PromptError>) -> String {
    driftgauge_problem::Problem::from(result.unwrap_err()).to_string()
}

#[test]
fn values_of_different_types_are_not_compared() {
    let templates = Templates::default();
    let text = |value: &str| with("score", json!(value));
    for (expression, parts) in [
        (
            "score >= 3",
            [
                "`score (\"1\")` is text and `3` is a number",
                "score | int",
                "types: {score: int}",
            ],
        ),
        (
            "3 == score",
            [
                "`3` is a number and `score (\"1\")` is text",
                "score | int",
                "types: {score: int}",
            ],
        ),
        (
            "score in [1, 2]",
            [
                "`score (\"1\")` is text and `[1, 2]` holds 1",
                "score | int",
                "hint: ",
            ],
        ),
        (
            "score == true",
            [
                "is text and `true` is a truth value",
                "score | bool",
                "types: {score: bool}",
            ],
        ),
        (
            "score",
            [
                "`score` is the text \"1\"",
                "score | bool",
                "types: {score: bool}",
            ],
        ),
        (
            "not score",
            [
                "`score` is the text \"1\"",
                "stands as a condition",
                "types: {score: bool}",
            ],
        ),
        (
            "score and n > 1",
            [
                "`score` is the text \"1\"",
                "stands as a condition",
                "types: {score: bool}",
            ],
        ),
        ("n is gt(\"2\")", ["is a number and", "is text", "hint: "]),
    ] {
        let said = said(templates.holds(expression, &text("1")));
        assert!(
            parts.iter().all(|part| said.contains(part)),
            "{expression}: {said}"
        );
    }
    let holds = |expression: &str, row: &Row| templates.holds(expression, row).unwrap();
    for (expression, value, kept) in [
        ("score | int >= 3", json!("10"), true),
        ("score | int >= 3", json!("2"), false),
        ("score == \"1\"", json!("1"), true),
        ("score in [\"1\", \"2\"]", json!("3"), false),
        ("score | bool", json!("False"), false),
        ("score", json!(false), false),
        ("score", json!(1), true),
        ("score", Value::Null, false),
        ("score == 1", json!(1.0), true),
        ("score == none", Value::Null, true),
        ("score is none", Value::Null, true),
        ("score != 3", Value::Null, true),
        ("score is not none and score > 3", Value::Null, false),
        ("1 < score < 3", json!(5), false),
        ("score.a == 2 and \"b\" not in score", json!({"a": 2}), true),
        ("2 == score not in [3, 4]", json!(2), true),
        ("2 == score not in [2]", json!(2), false),
        ("3 == score not in [4]", json!(2), false),
    ] {
        let row = with("score", value);
        assert_eq!(holds(expression, &row), kept, "{expression} {row:?}");
    }
    let said = said(templates.holds("score < 3", &with("score", Value::Null)));
    assert!(
        said.contains("`score` is null") && said.contains("is not none"),
        "{said}"
    );
}

#[test]
fn conditions_of_templates_are_looked_at_as_well() {
    let templates = Templates::default();
    let fill = |template: &str, value: Value| templates.fill(template, &with("v", value), None);
    let yes_or_no = "{% if v %}yes{% else %}no{% endif %}";
    assert_eq!(fill(yes_or_no, json!("some context")).unwrap(), "yes");
    assert_eq!(fill(yes_or_no, json!("")).unwrap(), "no");
    assert_eq!(fill(yes_or_no, Value::Null).unwrap(), "no");
    for word in ["False", "0", " no ", "none", "2.5", "nan"] {
        let said = said(fill(yes_or_no, json!(word)));
        assert!(
            said.contains("`v`") && said.contains("types: {v: bool}"),
            "{said}"
        );
    }
    let said = said(fill("{{ \"a\" if v > 2 else \"b\" }}", json!("3")));
    assert!(said.contains("cannot be compared by `>`"), "{said}");
    assert_eq!(
        fill(
            "{% for x in [1, 5] if x > v %}{{ x }}{% endfor %}",
            json!(2)
        )
        .unwrap(),
        "5"
    );
}

#[test]
fn null_is_absent_and_never_a_word() {
    let templates = Templates::default();
    let row = with("v", Value::Null);
    for template in [
        "{{ v }}",
        "a {{ v }} b",
        "{{ v | upper }}",
        "{{ \"x\" ~ v }}",
        "{{ [n, v] | join(\", \") }}",
        "{{ v | trim }}{{ n }}",
    ] {
        let said = said(templates.fill(template, &row, None));
        assert!(
            said.contains("row `7`: `v` is null") && said.contains("hint: filter"),
            "{said}"
        );
    }
    assert_eq!(
        templates
            .fill("{{ v | default(\"-\") }}", &row, None)
            .unwrap(),
        "-"
    );
    assert_eq!(
        templates.fill("{{ [v] | tojson }}", &row, None).unwrap(),
        "[null]"
    );
    assert_eq!(templates.fill_present("{{ v }}", &row, None).unwrap(), None);
    assert_eq!(
        templates.references("{{ v }}", &row).unwrap(),
        Vec::<String>::new()
    );
    assert!(templates.texts("{{ v }}", &row).is_err());
    let list = with("v", json!(["a", null, 3]));
    assert_eq!(templates.references("{{ v }}", &list).unwrap(), ["a", "3"]);
    let said_of_list = said(templates.texts("{{ v }}", &list));
    assert!(
        said_of_list.contains("an item of the list is null"),
        "{said_of_list}"
    );
    let turn = |role: &str| TurnTemplate {
        role: role.to_owned(),
        template: "{{ v }}".to_owned(),
    };
    assert_eq!(templates.turns(&[turn("system")], &row, None).unwrap(), []);
    assert!(templates.turns(&[turn("user")], &row, None).is_err());
}

#[test]
fn a_list_that_was_written_as_text_is_told() {
    let templates = Templates::default();
    let said = said(templates.texts("{{ v }}", &with("v", json!("['a', 'b']"))));
    assert!(
        said.contains("pandas") && said.contains("types: {column: list}"),
        "{said}"
    );
}

#[test]
fn what_a_template_makes_has_an_end() {
    let templates = Templates::default();
    let row = with("v", json!(["one", "two", "three"]));
    let tripled = format!("{{{{ v{} }}}}", " | join(\", \")".repeat(30));
    for (template, what) in [
        (tripled.as_str(), "`join` makes a text of more than 16 MiB"),
        ("{{ (v * 999999999) | join }}", "`join` makes a text"),
        (
            "{{ v * 999999999 }}",
            "a list of 2999999997 items is too long",
        ),
        (
            "{{ (v * 999999999) | list | length }}",
            "a list of 2999999997 items is too long",
        ),
        ("{{ (v * 999999999) | sort | first }}", "at most 1000000"),
        ("{{ v | batch(99999999999) | length }}", "is too long"),
        (
            "{{ v[0] | indent(99999999999, true) }}",
            "`indent` makes a text",
        ),
        (
            "{{ v[0] | indent(width=99999999999, first=true) }}",
            "`indent` makes a text",
        ),
        (
            "{{ \"%99999999999s\" | format(v[0]) }}",
            "`format` makes a text",
        ),
        (
            "{{ \"%*s\" | format(99999999999, v[0]) }}",
            "`format` makes a text",
        ),
        (
            "{{ (\"a\" * 9999) | replace(\"a\", \"b\" * 9999) }}",
            "`replace` makes a text",
        ),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ v }}{% endfor %}{% endfor %}",
            "the text is longer than 16 MiB",
        ),
    ] {
        let said = said(templates.fill(template, &row, None));
        assert!(said.contains(what), "{template}: {said}");
    }
    for (template, text) in [
        (
            "{{ v | join(\", \") | replace(\"o\", \"0\") }}",
            "0ne, tw0, three",
        ),
        (
            "{{ v | reverse | list | map(\"upper\") | sort | unique | join }}",
            "ONETHREETWO",
        ),
        (
            "{{ (v * 2) | join(\" \") | indent(2, true) }}",
            "  one two three one two three",
        ),
        ("{{ \"%5s|%.1f\" | format(v[0], 1.25) }}", "  one|1.2"),
        (
            "{{ v | batch(2) | length }} {{ v | slice(2) | length }}",
            "2 2",
        ),
    ] {
        assert_eq!(templates.fill(template, &row, None).unwrap(), text);
    }
}

/// Jinja 3.1.6.
#[test]
fn numbers_are_rounded_as_jinja_does() {
    let templates = Templates::default();
    let text = "{{ 2.5|round }} {{ -2.5|round }} {{ 2.675|round(2) }} {{ n|round }} {{ 2.1|round(0, 'ceil') }}";
    let filled = templates.fill(text, &row(), None).unwrap();
    assert_eq!(filled, "2.0 -2.0 2.67 3 3.0");
    assert!(said(templates.fill("{{ question|round }}", &row(), None)).contains("is no number"));
}

/// A sign behind the braces was taken for the mark that trims white space: minus five was five.
#[test]
fn a_sign_that_begins_an_expression_stays() {
    let templates = Templates::default();
    for (text, expected) in [
        ("a {{ -n }}", "a -3"),
        ("a {{ -2.5 }} b", "a -2.5 b"),
        ("a {{- -n -}} b", "a-3b"),
        ("a {{-n}} b", "a3 b"),
    ] {
        assert_eq!(
            templates.fill(text, &row(), None).unwrap(),
            expected,
            "{text}"
        );
    }
}

/// minijinja tells nobody of the names that are cut.
#[test]
fn columns_are_cut() {
    let templates = Templates::default();
    let row = with("l", json!(["x", "y", "z"]));
    for (text, expected) in [
        ("{{ l[1:] | join('-') }}", "y-z"),
        ("{{ l[0][:1] }}{{ l[:2][1] }}", "xy"),
        ("{{ (l | join)[1:] }}", "yz"),
        ("{{ (row.l | reverse | list)[:1] | join }}", "z"),
        ("{% for item in l[::2] %}{{ item }}{% endfor %}", "xz"),
    ] {
        assert_eq!(
            templates.fill(text, &row, None).unwrap(),
            expected,
            "{text}"
        );
    }
    assert!(templates.holds("l[1:] == ['y', 'z']", &row).unwrap());
}
