//! Templates: from a dataset row to the turns of a conversation.

mod absent;
mod bounded;
mod environment;
mod error;
mod names;
mod typed;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard};

use driftgauge_record::Message;
use indexmap::IndexMap;
use minijinja::value::ValueKind;
use minijinja::{Environment, Expression};
use serde_json::Value;

pub use error::PromptError;

use crate::dataset::{Row, is_written_list};
use error::{told, unfit};

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

/// Fills templates; undefined names, null where something is written, and mixed types are errors, never empty text.
pub struct Templates {
    environment: RwLock<Environment<'static>>,
    /// The names that each template reads.
    templates: RwLock<HashMap<String, Arc<HashSet<String>>>>,
    expressions: RwLock<HashMap<String, Arc<Compiled>>>,
}

/// An expression with the names that it reads.
struct Compiled {
    expression: Expression<'static, 'static>,
    names: HashSet<String>,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            environment: RwLock::new(expressions().clone()),
            templates: RwLock::default(),
            expressions: RwLock::default(),
        }
    }
}

impl Templates {
    /// Fills one template with the columns of `row`, and those of another row under the name `shuffled`.
    ///
    /// # Errors
    /// When the template is wrong, names a column that is not there, or writes a null.
    pub fn fill(
        &self,
        template: &str,
        row: &Row,
        shuffled: Option<&Row>,
    ) -> Result<String, PromptError> {
        let syntax = |error: minijinja::Error| PromptError::Syntax {
            template: template.to_owned(),
            problem: told(&error, template),
        };
        let known = read(&self.templates).get(template).cloned();
        let names = match known {
            Some(names) => names,
            None => self.compile(template).map_err(syntax)?,
        };
        let environment = read(&self.environment);
        let compiled = environment.get_template(template).map_err(syntax)?;
        let mut context = context(&names, row);
        if names.contains("row") {
            context.insert("row", to_value(&row.columns));
        }
        if let Some(other) = shuffled
            && names.contains("shuffled")
        {
            context.insert("shuffled", to_value(&other.columns));
        }
        let mut text = bounded::Written::default();
        compiled
            .render_captured_to(context, &mut text)
            .map_err(|error| unfit(&error, &names, template, row))?;
        let text = text.into_text();
        if absent::is_written(&text) {
            let null = |name: &&String| row.columns.get(*name).is_some_and(Value::is_null);
            let mut null: Vec<_> = names.iter().filter(null).collect();
            null.sort_unstable();
            let null: Vec<_> = null.iter().map(|name| format!("`{name}`")).collect();
            return Err(PromptError::Fill {
                template: template.to_owned(),
                row: row.id.clone(),
                problem: match null.as_slice() {
                    [] => "a value in it is null".to_owned(),
                    names => format!("{} is null", names.join(" and ")),
                },
                hint: "filter such rows out, as with `filter: column is not none`, or say what stands in its place, as with `{{ column | default(\"\") }}`".to_owned(),
            });
        }
        Ok(text)
    }

    /// As [`Self::fill`], but absent where the template is nothing but an expression whose value is null.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn fill_present(
        &self,
        template: &str,
        row: &Row,
        shuffled: Option<&Row>,
    ) -> Result<Option<String>, PromptError> {
        if let Some(expression) = lone_expression(template)
            && !mentions_other(expression)
            && absent::is_absent(&self.value(expression, row)?)
        {
            return Ok(None);
        }
        self.fill(template, row, shuffled).map(Some)
    }

    /// Fills every turn. A system turn that is null is none.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn turns(
        &self,
        turns: &[TurnTemplate],
        row: &Row,
        shuffled: Option<&Row>,
    ) -> Result<Vec<Message>, PromptError> {
        let mut messages = Vec::with_capacity(turns.len());
        for turn in turns {
            let content = match turn.role.as_str() {
                "system" => self.fill_present(&turn.template, row, shuffled)?,
                _ => Some(self.fill(&turn.template, row, shuffled)?),
            };
            messages.extend(content.map(|content| Message {
                role: turn.role.clone(),
                content,
            }));
        }
        Ok(messages)
    }

    /// Evaluates a condition such as `category == "doors" and n > 3` over a row. Null is not true.
    ///
    /// # Errors
    /// As [`Self::fill`], and when the value is a text, which is neither true nor false.
    pub fn holds(&self, expression: &str, row: &Row) -> Result<bool, PromptError> {
        let value = self.value(expression, row)?;
        if let Some(constant) = typed::constant(expression) {
            let error = environment::same_of_every_row(constant);
            return Err(unfit(&error, &HashSet::new(), expression, row));
        }
        environment::verdict(&value, expression.trim())
            .map_err(|error| unfit(&error, &HashSet::new(), expression, row))
    }

    /// The texts that a template stands for: a lone expression may give a list, everything else gives one text.
    ///
    /// # Errors
    /// As [`Self::fill`], and when a list was written as text.
    pub fn texts(&self, template: &str, row: &Row) -> Result<Vec<String>, PromptError> {
        self.listed(template, row, false)
    }

    /// The same of accepted answers: what is null is none of them.
    ///
    /// # Errors
    /// As [`Self::texts`], and when an answer is empty: no completion says it, and rules that drop words would find it in any.
    pub fn references(&self, template: &str, row: &Row) -> Result<Vec<String>, PromptError> {
        let answers = self.listed(template, row, true)?;
        if answers.iter().any(|answer| answer.trim().is_empty()) {
            return Err(PromptError::Fill {
                template: template.to_owned(),
                row: row.id.clone(),
                problem: "an accepted answer is empty, and no completion can say it".to_owned(),
                hint: "filter such rows out, or say that it is none of the answers: `{{ column or none }}`, `{{ columns | select | list }}` of a list".to_owned(),
            });
        }
        Ok(answers)
    }

    fn listed(
        &self,
        template: &str,
        row: &Row,
        may_be_null: bool,
    ) -> Result<Vec<String>, PromptError> {
        let unfit = |problem: String, hint: &str| PromptError::Fill {
            template: template.to_owned(),
            row: row.id.clone(),
            problem,
            hint: hint.to_owned(),
        };
        if let Some(expression) = lone_expression(template) {
            let value = self.value(expression, row)?;
            if may_be_null && absent::is_absent(&value) {
                return Ok(Vec::new());
            }
            if value.kind() == ValueKind::Seq
                && let Ok(items) = value.try_iter()
            {
                let items = items.filter(|item| !(may_be_null && absent::is_absent(item)));
                let text = |item: minijinja::Value| match item.kind() {
                    ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(item.to_string()),
                    _ if absent::is_absent(&item) => Err(unfit(
                        "an item of the list is null".to_owned(),
                        "filter such rows out, or drop the item with `reject(\"none\")`",
                    )),
                    other => Err(unfit(
                        format!("an item of the list is a {other}"),
                        "a list of texts is one text for each item; choose a field of each, as with `map(attribute=...)`",
                    )),
                };
                return items.map(text).collect();
            }
            if value.kind() == ValueKind::Map {
                return Err(unfit(
                    "it is an object, and no text".to_owned(),
                    "name the field that is meant, as `{{ column.field }}`",
                ));
            }
            if value.as_str().is_some_and(is_written_list) {
                return Err(unfit(
                    "the text is a list that a program wrote as text, as pandas does in CSV files"
                        .to_owned(),
                    "give the dataset `types: {column: list}`, or write it as JSON Lines or Parquet",
                ));
            }
        }
        Ok(vec![self.fill(template, row, None)?])
    }

    /// The value of an expression over a row, for example the name of a column.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn evaluate(&self, expression: &str, row: &Row) -> Result<minijinja::Value, PromptError> {
        Ok(absent::plain(&self.value(expression, row)?))
    }

    /// Keeps a template, compiled, and gives the names that it reads.
    fn compile(&self, template: &str) -> Result<Arc<HashSet<String>>, minijinja::Error> {
        if driftgauge_spec::is_too_deep(template, false) {
            let problem = "too many brackets stand within one another";
            return Err(minijinja::Error::new(
                minijinja::ErrorKind::SyntaxError,
                problem,
            ));
        }
        let mut environment = self
            .environment
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let rewritten = typed::template(template).into_owned();
        environment.add_template_owned(template.to_owned(), rewritten)?;
        let compiled = environment.get_template(template)?;
        let mut names = compiled.undeclared_variables(false);
        names.extend(typed::sliced::of_template(template));
        let names = Arc::new(names);
        self.templates
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(template.to_owned(), Arc::clone(&names));
        Ok(names)
    }

    fn compiled(&self, expression: &str) -> Result<Arc<Compiled>, PromptError> {
        if let Some(known) = read(&self.expressions).get(expression) {
            return Ok(Arc::clone(known));
        }
        let syntax = |problem: String| PromptError::Syntax {
            template: expression.to_owned(),
            problem,
        };
        // Rewriting calls itself for brackets, too, and puts those that are never opened in another place.
        let refused = |text: &str| match driftgauge_spec::ends_early(text) {
            Some(early) => Err(syntax(early.to_owned())),
            None => Ok(()),
        };
        refused(expression)?;
        let rewritten = typed::expression(expression).into_owned();
        refused(&rewritten)?;
        let compiled = expressions()
            .compile_expression_owned(rewritten)
            .map_err(|error| syntax(told(&error, expression)))?;
        let mut names = compiled.undeclared_variables(false);
        names.extend(typed::sliced::of_expression(expression));
        let compiled = Arc::new(Compiled {
            names,
            expression: compiled,
        });
        self.expressions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(expression.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }

    fn value(&self, expression: &str, row: &Row) -> Result<minijinja::Value, PromptError> {
        let compiled = self.compiled(expression)?;
        let mut context = context(&compiled.names, row);
        if compiled.names.contains("row") && !row.columns.contains_key("row") {
            context.insert("row", to_value(&row.columns));
        }
        compiled
            .expression
            .eval(context)
            .map_err(|error| unfit(&error, &compiled.names, expression, row))
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// The columns of a row that are read.
fn context<'r>(names: &HashSet<String>, row: &'r Row) -> IndexMap<&'r str, minijinja::Value> {
    let columns = row.columns.iter();
    columns
        .filter(|(name, _)| names.contains(*name))
        .map(|(name, value)| (name.as_str(), absent::value(value)))
        .collect()
}

/// Where expressions are compiled, which live as long as their environment; templates have copies of it that keep them.
fn expressions() -> &'static Environment<'static> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment::strict);
    &ENVIRONMENT
}

/// Whether what an expression gave is true or false, which minijinja takes for 1 and 0.
#[must_use]
pub fn is_flag(value: &minijinja::Value) -> bool {
    value.kind() == ValueKind::Bool
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

/// Whether an expression reads the stand-in row, which only prompts have.
fn mentions_other(expression: &str) -> bool {
    expression.contains("shuffled")
}

fn to_value(columns: &IndexMap<String, Value>) -> minijinja::Value {
    columns
        .iter()
        .map(|(name, value)| (name.clone(), absent::value(value)))
        .collect()
}

#[cfg(test)]
mod tests;
