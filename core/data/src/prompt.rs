//! Templates: from a dataset row to the turns of a conversation.

use driftgauge_problem::Explained;
use driftgauge_record::Message;
use indexmap::IndexMap;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use crate::dataset::{Row, names};

/// A turn whose content is a minijinja template over the columns of a row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TurnTemplate {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The template.
    pub template: String,
}

impl TurnTemplate {
    /// Whether the turn differs from row to row.
    #[must_use]
    pub fn depends_on_row(&self) -> bool {
        self.template.contains("{{") || self.template.contains("{%")
    }
}

/// Why a template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// The template names something the row does not have.
    #[error("template `{template}` cannot be filled for row `{row}`: {problem}")]
    Fill {
        /// The template text.
        template: String,
        /// The row id.
        row: String,
        /// What minijinja says.
        problem: String,
        /// The columns there are.
        columns: String,
    },
    /// The template itself is wrong.
    #[error("template `{template}` is not valid: {problem}")]
    Syntax {
        /// The template text.
        template: String,
        /// What minijinja says.
        problem: String,
    },
}

impl Explained for PromptError {
    fn code(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "bad-row",
            Self::Syntax { .. } => "bad-template",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Fill { columns, .. } => Some(format!("columns are {columns}")),
            Self::Syntax { .. } => None,
        }
    }
}

/// Fills templates; undefined names are errors, never empty text.
pub struct Templates {
    environment: Environment<'static>,
}

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        Self { environment }
    }
}

impl Templates {
    /// Templates in which writing a null is an error as well, where its text `none` would be learnt from.
    pub fn without_null() -> Self {
        let mut templates = Self::default();
        templates
            .environment
            .set_formatter(|out, state, value| match value.is_none() {
                true => Err(minijinja::Error::new(
                    minijinja::ErrorKind::InvalidOperation,
                    "a value is null",
                )),
                false => minijinja::escape_formatter(out, state, value),
            });
        templates
    }

    /// Fills one template with the columns of `row`, and those of another row under the name `shuffled`.
    ///
    /// # Errors
    /// When the template is wrong or names a column that is not there.
    pub fn fill(
        &self,
        template: &str,
        row: &Row,
        shuffled: Option<&Row>,
    ) -> Result<String, PromptError> {
        let compiled = self
            .environment
            .template_from_str(template)
            .map_err(|error| PromptError::Syntax {
                template: template.to_owned(),
                problem: error.to_string(),
            })?;
        let mut context: IndexMap<&str, Value> = IndexMap::new();
        for (name, value) in &row.columns {
            context.insert(name, value.clone());
        }
        context.insert("row", to_value(&row.columns));
        if let Some(other) = shuffled {
            context.insert("shuffled", to_value(&other.columns));
        }
        compiled.render(context).map_err(|error| PromptError::Fill {
            template: template.to_owned(),
            row: row.id.clone(),
            problem: explain(&error, &compiled, row),
            columns: names(&row.columns),
        })
    }

    /// Fills every turn.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn turns(
        &self,
        turns: &[TurnTemplate],
        row: &Row,
        shuffled: Option<&Row>,
    ) -> Result<Vec<Message>, PromptError> {
        turns
            .iter()
            .map(|turn| {
                Ok(Message {
                    role: turn.role.clone(),
                    content: self.fill(&turn.template, row, shuffled)?,
                })
            })
            .collect()
    }

    /// Evaluates a condition such as `category == "doors" and n > 3` over a row.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn holds(&self, expression: &str, row: &Row) -> Result<bool, PromptError> {
        Ok(self.evaluate(expression, row)?.is_true())
    }

    /// The texts that a template stands for: a lone expression may give a list, everything else gives one text.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn texts(&self, template: &str, row: &Row) -> Result<Vec<String>, PromptError> {
        if let Some(expression) = lone_expression(template) {
            let value = self.evaluate(expression, row)?;
            if value.kind() == minijinja::value::ValueKind::Seq
                && let Ok(items) = value.try_iter()
            {
                return Ok(items.map(|item| item.to_string()).collect());
            }
        }
        Ok(vec![self.fill(template, row, None)?])
    }

    /// The value of an expression over a row, for example the name of a column.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn evaluate(&self, expression: &str, row: &Row) -> Result<minijinja::Value, PromptError> {
        let compiled = self
            .environment
            .compile_expression(expression)
            .map_err(|error| PromptError::Syntax {
                template: expression.to_owned(),
                problem: error.to_string(),
            })?;
        compiled
            .eval(to_value(&row.columns))
            .map_err(|error| PromptError::Fill {
                template: expression.to_owned(),
                row: row.id.clone(),
                problem: error.to_string(),
                columns: names(&row.columns),
            })
    }
}

/// The expression of a template that is nothing but one, as in `{{ aliases }}`.
#[must_use]
pub fn lone_expression(template: &str) -> Option<&str> {
    let inside = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inside.contains("{{") && !inside.contains("}}")).then(|| inside.trim())
}

/// Role of a turn that is plain text: it goes to the model as it stands, without a chat template.
pub const TEXT_ROLE: &str = "text";

/// The text of a prompt that is plain text rather than a conversation.
#[must_use]
pub fn plain_text(messages: &[Message]) -> Option<&str> {
    match messages {
        [only] if only.role == TEXT_ROLE => Some(&only.content),
        _ => None,
    }
}

fn to_value(columns: &IndexMap<String, Value>) -> Value {
    Value::Object(
        columns
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// Names the missing columns where that is the trouble; minijinja only says that something is undefined.
fn explain(error: &minijinja::Error, template: &minijinja::Template<'_, '_>, row: &Row) -> String {
    if error.kind() == minijinja::ErrorKind::UndefinedError {
        let mut missing: Vec<_> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !row.columns.contains_key(name) && name != "row" && name != "shuffled")
            .collect();
        missing.sort_unstable();
        if !missing.is_empty() {
            let missing: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
            return format!("there is no column {}", missing.join(", "));
        }
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
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
}
