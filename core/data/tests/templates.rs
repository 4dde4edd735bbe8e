//! Templates and expressions over one row: what each says is what Python's operators and jinja's documentation say of the values.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{PromptError, Templates, TurnTemplate, lone_expression, plain_text};
use driftgauge_problem::Explained;
use driftgauge_record::Message;
use serde_json::json;

fn row() -> Row {
    let columns = json!({
        "n": 3, "z": 0, "big": 7.5, "t": "abc", "d": "3", "no": null, "yes": true, "l": [1, 2], "lt": ["a", "b"],
        "lm": [null, 1], "o": {"a": 1, "x": null}, "empty": "", "maps": [{"a": null}], "written": "['a', 'b']"
    });
    Row {
        id: "r1".to_owned(),
        columns: serde_json::from_value(columns).unwrap(),
    }
}

#[test]
fn conditions_hold_as_values_say() {
    for (expression, holds) in [
        ("n == 3", true),
        ("n != 3", false),
        ("n < 4", true),
        ("n < 3", false),
        ("n <= 3", true),
        ("n <= 2", false),
        ("n > 3", false),
        ("n > 2", true),
        ("n >= 3", true),
        ("n >= 4", false),
        ("2 < n < 4", true),
        ("2 < n < 3", false),
        ("4 < n < 5", false),
        ("yes == true", true),
        ("yes != false", true),
        ("no == none", true),
        ("none == no", true),
        ("no != none", false),
        ("n == none", false),
        ("no == n", false),
        ("n != no", true),
        ("no == 0", false),
        ("t == 'abc'", true),
        ("'b' in t", true),
        ("'x' in t", false),
        ("'x' not in t", true),
        ("'a' in o", true),
        ("'b' in o", false),
        ("'b' not in o", true),
        ("2 in l", true),
        ("3 in l", false),
        ("no in lm", true),
        ("no in l", false),
        ("1 in lm", true),
        ("2 in lm", false),
        ("2 < n not in [7]", true),
        ("2 < n not in [3]", false),
        ("2 < n in [3]", true),
        ("n is not none and n == 3", true),
        ("true and n is not in([1])", true),
        ("true and n is in([1])", false),
        ("big == 7.5 and n < 10.25", true),
        ("1.5e+1 > big", true),
        ("1.5e-1 > big", false),
        ("1e1 > n and n < 1e1", true),
        ("l[0] == 1 and o.a == 1", true),
        ("3+n == 6 and n-1 == 2", true),
        ("t == 'it\\'s' or t == \"abc\"", true),
        ("'yes' | bool", true),
        ("'False' | bool", false),
        ("yes | bool", true),
        ("z | bool", false),
        ("not yes", false),
        ("t > 'ab'", true),
        ("d == '3'", true),
        ("d > 'abc'", false),
    ] {
        let found = Templates::default().holds(expression, &row());
        assert_eq!(found, Ok(holds), "{expression}");
    }
}

#[test]
fn values_that_do_not_fit_are_told_with_a_way_out() {
    for (expression, says, way) in [
        (
            "d > 2",
            "`d (\"3\")` is text and `2` is a number",
            "`d | int`",
        ),
        (
            "2 < d",
            "`2` is a number and `d (\"3\")` is text",
            "`d | int`",
        ),
        ("yes == t", "is a truth value", "`t | bool`"),
        ("t == true", "`true` is a truth value", "`t | bool`"),
        ("yes > n", "is a truth value", "compare values of one type"),
        ("l == n", "`l` is a sequence", "compare values of one type"),
        ("no < 3", "`no` is null", "`no is not none and ...`"),
        ("3 < no", "`no` is null", "`no is not none and ...`"),
        ("no < no", "`no` is null", "`no is not none and ...`"),
        ("1 in t", "only text is in a text", ""),
        ("'a' in no", "nothing can be in it", ""),
        ("'a' in n", "which holds nothing", ""),
        ("t in l", "`l` holds 1", "`t | int`"),
        ("n in lt", "`lt` holds \"a\"", "`lt | int`"),
        ("yes in lt", "`lt` holds \"a\"", "`lt | bool`"),
        ("t in [true]", "holds True", "`t | bool`"),
        ("n in [true]", "holds True", "compare values of one type"),
        ("no | int == 1", "null is no number", ""),
        ("d | bool", "neither true nor false", ""),
        ("q > 1", "there is no column `q`", "columns are"),
        ("n > q", "there is no column `q`", "columns are"),
        ("n == 1 or 2", "`2` stands as a condition", "`column == 2`"),
        (
            "not 1 and yes",
            "`1` stands as a condition",
            "`column == 1`",
        ),
        ("d > '20'", "in the order of letters", "`d | int`"),
        ("'20' <= d", "in the order of letters", "`d | int`"),
    ] {
        let error = Templates::default().holds(expression, &row()).unwrap_err();
        let PromptError::Fill { problem, hint, .. } = error else {
            panic!("{expression}: {error}");
        };
        assert!(problem.contains(says), "{expression}: {problem}");
        assert!(hint.contains(way), "{expression}: {hint}");
        // Only what is missing is called missing.
        let missing = problem
            .starts_with("there is no column")
            .then_some("there is no column `q`");
        assert!(
            missing.is_none_or(|missing| problem == missing),
            "{problem}"
        );
    }
}

#[test]
fn expressions_have_values() {
    for (expression, value) in [
        ("empty | default('x')", json!("")),
        ("empty | default('x', true)", json!("x")),
        ("t | default('x', true)", json!("abc")),
        ("t | default('x', false)", json!("abc")),
        ("empty | default('x', false)", json!("")),
        ("no | default('x')", json!("x")),
        ("l", json!([1, 2])),
        ("maps", json!([{"a": null}])),
        ("o", json!({"a": 1, "x": null})),
        ("row.n", json!(3)),
        ("no", json!(null)),
    ] {
        let found = Templates::default().evaluate(expression, &row()).unwrap();
        assert_eq!(serde_json::to_value(&found).unwrap(), value, "{expression}");
    }
    // A column of that name stands before the row itself.
    let mut other = row();
    other.columns.insert("row".to_owned(), json!(5));
    let found = Templates::default().evaluate("row", &other).unwrap();
    assert_eq!(serde_json::to_value(&found).unwrap(), json!(5));
}

#[test]
fn texts_are_filled_around_comments_quotes_and_brackets() {
    for (template, text) in [
        ("{{n}}", "3"),
        ("a{# }} b #}{{ n }}", "a3"),
        ("{# {{ n }} #}x", "x"),
        ("{% raw %}{{ n }}{% endraw %}{{ n }}", "{{ n }}3"),
        ("{{ 'a}}b' }}", "a}}b"),
        ("{{ \"a\\\"}}\" }}", "a\"}}"),
        ("{{ 'it\\'s }}' }}", "it's }}"),
        ("{{ {'a': {'b': n}}['a']['b'] }}", "3"),
        ("{%- if n == 3 -%} yes {%- else -%} no {%- endif -%}", "yes"),
        ("{%if n>3%}a{%elif n<=3%}b{%endif%}", "b"),
        ("{% for x in l if x > 1 %}{{ x }}{% endfor %}", "2"),
        ("{{ 'x' if n in [3] else 'y' }}", "x"),
    ] {
        let filled = Templates::default().fill(template, &row(), None);
        assert_eq!(filled.as_deref(), Ok(text), "{template}");
    }
    let other = Row {
        id: "r2".to_owned(),
        ..row()
    };
    let found = Templates::default().fill_present("{{ shuffled.n }}", &row(), Some(&other));
    assert_eq!(found, Ok(Some("3".to_owned())));
    assert_eq!(
        Templates::default().fill_present("{{ no }}", &row(), None),
        Ok(None)
    );
}

#[test]
fn lists_are_the_texts_of_their_items() {
    let templates = Templates::default();
    let texts = |template: &str| templates.texts(template, &row());
    assert_eq!(texts("{{ lt }}"), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(texts("{{ t }}!"), Ok(vec!["abc!".to_owned()]));
    for (template, says) in [
        ("{{ lm }}", "an item of the list is null"),
        ("{{ maps }}", "an item of the list is a map"),
        ("{{ [l] }}", "an item of the list is a sequence"),
        ("{{ written }}", "a list that a program wrote as text"),
    ] {
        let error = texts(template).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let references = templates.references("{{ lm }}", &row());
    assert_eq!(references, Ok(vec!["1".to_owned()]));
    assert_eq!(templates.references("{{ no }}", &row()), Ok(Vec::new()));
}

#[test]
fn comparisons_are_found_around_quotes_brackets_and_comments() {
    for template in [
        "{{ d > 2 }}",
        "{{ 'a}}b' if d > 2 else 'c' }}",
        "{{ \"a\\\"}}\" if d > 2 else 'c' }}",
        "{{ 'it\\'s }}' if d > 2 else 'c' }}",
        "{{ 'a\\\\' == t or d > 2 }}",
        "{{ {'a': {'b': d}}['a']['b'] > 2 }}",
        "{# }} #}{{ d > 2 }}",
        "{#{{#}{{ d > 2 }}",
        "{% raw %}{{ n }}{% endraw %}{{ d > 2 }}",
        "{%- if d > 2 -%}a{% endif %}",
        "{{ d > 10.25 and n > 0 }}",
        "{{ 1.5e+3 > d }}",
        "{{ 12.5e-3 < d }}",
    ] {
        let error = Templates::default()
            .fill(template, &row(), None)
            .unwrap_err();
        assert!(
            error.to_string().contains("cannot be compared"),
            "{template}: {error}"
        );
        assert_eq!(error.code(), "bad-row");
    }
    let raw = "{% raw %}{{ d > 2 }}{% if d > 2 %}{% endraw %}";
    let filled = Templates::default().fill(raw, &row(), None);
    assert_eq!(filled.as_deref(), Ok("{{ d > 2 }}{% if d > 2 %}"));
    let syntax = Templates::default()
        .fill("{{ d > }}", &row(), None)
        .unwrap_err();
    assert_eq!(syntax.code(), "bad-template");
}

#[test]
fn what_a_template_is() {
    for (template, expression) in [
        ("{{ a }}", Some("a")),
        (" {{ a.b | c }}\n", Some("a.b | c")),
        ("{{ a }}{{ b }}", None),
        ("{{ a }} }}", None),
        ("{{ {{ a }}", None),
        ("x {{ a }}", None),
    ] {
        assert_eq!(lone_expression(template), expression, "{template}");
    }
    let turn = |template: &str| TurnTemplate {
        role: "user".to_owned(),
        template: template.to_owned(),
    };
    assert!(turn("{{ a }}").depends_on_row() && turn("{% if a %}{% endif %}").depends_on_row());
    assert!(!turn("plain { text }").depends_on_row());
    let message = |role: &str| Message {
        role: role.to_owned(),
        content: "said".to_owned(),
    };
    assert_eq!(plain_text(&[message("text")]), Some("said"));
    assert_eq!(plain_text(&[message("user")]), None);
    assert_eq!(plain_text(&[message("text"), message("text")]), None);
    assert_eq!(plain_text(&[]), None);
}
