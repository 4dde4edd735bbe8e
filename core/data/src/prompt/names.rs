//! The names that templates and expressions read: each is a column of some row, or one of ours, and none is both.

use std::collections::{BTreeSet, HashSet};
use std::sync::PoisonError;

use super::error::{PromptError, told};
use super::typed::{COMPARE, CONDITION};
use super::{Templates, expressions, lone_expression, read};
use crate::dataset::{Row, names};

/// Words of the language: a column of such a name is read by `row["none"]` alone.
const WORDS: [&str; 6] = ["none", "None", "true", "True", "false", "False"];

/// Names that are no columns: the row itself, and the one that stands in for it.
const ROWS: [&str; 2] = ["row", "shuffled"];

impl Templates {
    /// Checks that a template reads columns which the rows have, some of them at least. `default` hides from [`Self::fill`] that
    /// a column is nowhere; who asks whether there is one (`name is defined`) may name any.
    ///
    /// # Errors
    /// With the names of what is no column, or is a column and something else as well.
    pub fn knows(&self, template: &str, rows: &[Row]) -> Result<(), PromptError> {
        self.compile_once(template)?;
        let environment = self
            .environment
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let compiled = environment.get_template(template);
        let names = compiled.map(|compiled| compiled.undeclared_variables(true));
        let names = names.map_err(|error| PromptError::Syntax {
            template: template.to_owned(),
            problem: told(&error, template),
        })?;
        check(template, &names, rows)
    }

    /// The same of an expression.
    ///
    /// # Errors
    /// As [`Self::knows`].
    pub fn knows_names_of(&self, expression: &str, rows: &[Row]) -> Result<(), PromptError> {
        let compiled = self.compiled(expression)?;
        check(
            expression,
            &compiled.expression.undeclared_variables(true),
            rows,
        )
    }

    /// The names that an expression reads.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names_of(&self, expression: &str) -> Result<HashSet<String>, PromptError> {
        Ok(self.compiled(expression)?.names.clone())
    }

    fn compile_once(&self, template: &str) -> Result<(), PromptError> {
        if read(&self.templates).contains_key(template) {
            return Ok(());
        }
        let compiled = self.compile(template);
        let compiled = compiled.map_err(|error| PromptError::Syntax {
            template: template.to_owned(),
            problem: told(&error, template),
        });
        compiled.map(|_| ())
    }
}

/// Holds names, each with the fields that are read of it (`row.question`), against the columns of the rows.
fn check(template: &str, read: &HashSet<String>, rows: &[Row]) -> Result<(), PromptError> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let columns: HashSet<&str> = rows
        .iter()
        .flat_map(|row| row.columns.keys().map(String::as_str))
        .collect();
    let refused = |problem: String, hint: String| PromptError::Fill {
        template: template.to_owned(),
        row: first.id.clone(),
        problem,
        hint,
    };
    let alone = lone_expression(template).unwrap_or(template.trim());
    if WORDS.contains(&alone) && columns.contains(alone) {
        return Err(refused(
            format!("`{alone}` is a column of the dataset, and a word of the language"),
            format!("write `row[\"{alone}\"]` for the column"),
        ));
    }
    let mut missing = BTreeSet::new();
    for name in read {
        let (root, field) = match name.split_once('.') {
            Some((root, field)) => (root, Some(field)),
            None => (name.as_str(), None),
        };
        if ROWS.contains(&root) {
            if columns.contains(root) {
                return Err(refused(
                    format!("`{root}` is a column of the dataset, and a name of ours"),
                    format!(
                        "`{root}` stands for a whole row: give the column another name in the file"
                    ),
                ));
            }
            // A column may have dots in its name.
            let field = field.filter(|field| {
                let begins = |column: &&str| {
                    let rest = field.strip_prefix(*column);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                !columns.iter().any(begins)
            });
            missing.extend(field.map(|field| field.split('.').next().unwrap_or(field)));
        } else if !columns.contains(root) && !is_ours(root) {
            missing.insert(root);
        }
    }
    let words: Vec<&str> = template.split_whitespace().collect();
    let words = words.join(" ");
    let is_asked = |name: &&str| {
        words.contains(&format!("{name} is defined"))
            || words.contains(&format!("{name} is not defined"))
    };
    missing.retain(|name| !is_asked(name));
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    Err(refused(
        format!("no row has a column {}", missing.join(", ")),
        format!("columns are {}", names(&first.columns)),
    ))
}

/// Whether a name is a function of the language, or of our own.
fn is_ours(name: &str) -> bool {
    [COMPARE, CONDITION].contains(&name) || expressions().globals().any(|(known, _)| known == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Vec<Row> {
        [
            json!({"q": "a", "odd.name": 1}),
            json!({"q": "b", "hint": "c"}),
        ]
        .into_iter()
        .enumerate()
        .map(|(number, columns)| Row {
            id: number.to_string(),
            columns: serde_json::from_value(columns).unwrap(),
        })
        .collect()
    }

    #[test]
    fn a_column_that_no_row_has_is_no_default() {
        let templates = Templates::default();
        for template in [
            "{{ q }}",
            // Of some rows.
            "{{ hint | default('') }}",
            "{{ row.q }} {{ row[\"odd.name\"] | default(1) }} {{ shuffled.hint | default('') }}",
            "{% for i in range(3) %}{{ loop.index }}{{ i }}{% endfor %}",
            "{% set x = q %}{{ x }}{% if x == 'a' and q == 'b' %}{% endif %}",
            "{% if context is defined %}{{ context }}{% endif %}",
            "{% if context  is not\n defined %}none{% endif %}",
            "no names",
        ] {
            assert_eq!(templates.knows(template, &rows()), Ok(()), "{template}");
        }
        for (template, missing) in [
            ("{{ hnit | default('') }}", "`hnit`"),
            ("{{ row.hnit | default('') }}", "`hnit`"),
            (
                "{{ shuffled.qq.x | default('') }} {{ q }} {{ b or 'x' }}",
                "`b`, `qq`",
            ),
            ("{% if not nothing %}{{ q }}{% endif %}", "`nothing`"),
        ] {
            let said = templates.knows(template, &rows()).unwrap_err().to_string();
            assert!(
                said.contains(&format!("no row has a column {missing}")),
                "{said}"
            );
        }
        assert!(templates.knows("{{ q", &rows()).is_err());
        assert_eq!(
            templates.knows_names_of("q == 'a' or hint is none", &rows()),
            Ok(())
        );
        let said = templates.knows_names_of("level | default(1) > 0", &rows());
        assert!(said.unwrap_err().to_string().contains("`level`"));
    }

    #[test]
    fn a_column_that_is_called_as_a_word_is_refused_where_it_stands_alone() {
        let templates = Templates::default();
        let mut rows = rows();
        assert_eq!(templates.knows("{{ none }}", &rows), Ok(()));
        rows[0].columns.insert("none".to_owned(), json!("x"));
        let said = templates.knows("{{ none }}", &rows).unwrap_err();
        assert!(
            said.to_string().contains("a word of the language"),
            "{said}"
        );
        assert_eq!(templates.knows("{{ row[\"none\"] }}", &rows), Ok(()));
        assert_eq!(templates.knows("{{ q or none }}", &rows), Ok(()));
    }

    #[test]
    fn a_column_that_is_called_as_a_row_is_refused_where_it_is_read() {
        let templates = Templates::default();
        let mut rows = rows();
        for name in ["row", "shuffled"] {
            rows[1].columns.insert(name.to_owned(), json!("x"));
        }
        assert_eq!(templates.knows("{{ q }}", &rows), Ok(()));
        for template in ["{{ row }}", "{{ row.q }}", "{{ shuffled.q }}"] {
            let said = templates.knows(template, &rows).unwrap_err().to_string();
            assert!(
                said.contains("is a column of the dataset, and a name of ours"),
                "{said}"
            );
        }
    }
}
