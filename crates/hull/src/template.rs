//! Go's `text/template`, as far as `--format` uses it.
//!
//! Fields, pipelines, variables, `if`, `range`, `with`, Docker's functions. Not there: `define`,
//! `template`, `block` and methods. Every template ends: its size, nesting, steps and output are
//! bounded, so a template from a script's argument can do no harm.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod value;

use parse::Node;
use value::Value;

/// The longest template.
const TEMPLATE_BYTES_MAX: usize = 64 * 1024;

/// Why a template cannot be read or carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {0}")]
pub(crate) struct TemplateError(String);

impl TemplateError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A message saying what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::new(format!("longer than {TEMPLATE_BYTES_MAX} bytes")));
        }
        Ok(Self { nodes: parse::parse(lex::lex(text)?)? })
    }

    /// Carries it out on some data.
    ///
    /// # Errors
    /// A message saying which part failed, and why.
    pub(crate) fn render(&self, data: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, data)
    }
}
