//! What the row of a dataset says of a sample, whatever the model answered.

use std::borrow::Cow;
use std::collections::HashMap;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_record::value;
use serde_json::Value;

use crate::resolved::ResolvedEvaluation;

/// What comes from the row of the dataset rather than from the model.
pub(super) struct Declared<'a> {
    pub(super) evaluation: &'a ResolvedEvaluation,
    pub(super) rows: HashMap<&'a str, &'a Row>,
    pub(super) templates: Templates,
}

impl Declared<'_> {
    /// The category of a row; nothing when the evaluation has no column of them.
    pub(super) fn category<'r>(&self, row: &'r Row) -> Option<Option<Cow<'r, str>>> {
        let value = value::column(&row.columns, self.evaluation.category.as_ref()?);
        Some(match value {
            Some(Value::String(text)) => Some(Cow::Borrowed(text)),
            other => other.and_then(value::scalar_text).map(Cow::Owned),
        })
    }

    /// The accepted answers that the evaluation declares.
    pub(super) fn references(&self, row: &Row) -> Result<Vec<String>, String> {
        let mut references = Vec::new();
        for template in &self.evaluation.references {
            let texts = self.templates.references(template, row);
            references.extend(texts.map_err(|error| error.to_string())?);
        }
        Ok(references)
    }

    /// The false answer, when the evaluation declares one and the row has it.
    pub(super) fn wrong_answer(&self, row: &Row) -> Result<Option<String>, String> {
        let Some(template) = &self.evaluation.wrong_answer else {
            return Ok(None);
        };
        let text = self.templates.fill_present(template, row, None);
        text.map_err(|error| error.to_string())
    }
}
