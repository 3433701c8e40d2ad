//! Carries a template out.

use std::borrow::Cow;

use super::TemplateError;
use super::functions;
use super::parse::{Node, Operand, Pipeline};
use super::value::Value;

/// How many nodes and commands may be carried out: loops in loops end.
const STEPS_MAX: u64 = 2_000_000;
/// How much may be written.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// A value of the data, or one made on the way.
pub(super) type Shared<'a> = Cow<'a, Value>;

/// Carries nodes out on some data.
pub(super) fn render(nodes: &[Node], data: &Value) -> Result<String, TemplateError> {
    let mut evaluation = Evaluation {
        root: data,
        // `$` is the data itself.
        variables: vec![(String::new(), Cow::Borrowed(data))],
        output: String::new(),
        steps: 0,
    };
    evaluation.nodes(nodes, &Cow::Borrowed(data))?;
    Ok(evaluation.output)
}

/// Whether a list of nodes was carried out to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Goes,
    Breaks,
    Continues,
}

struct Evaluation<'a> {
    root: &'a Value,
    variables: Vec<(String, Shared<'a>)>,
    output: String,
    steps: u64,
}

impl<'a> Evaluation<'a> {
    fn step(&mut self) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(TemplateError::new(format!("more than {STEPS_MAX} steps")));
        }
        if self.output.len() > OUTPUT_BYTES_MAX {
            return Err(TemplateError::new(format!(
                "more than {OUTPUT_BYTES_MAX} bytes of output"
            )));
        }
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Shared<'a>) -> Result<Flow, TemplateError> {
        for node in nodes {
            self.step()?;
            let scope = self.variables.len();
            let flow = match node {
                Node::Text(text) => {
                    self.output.push_str(text);
                    Flow::Goes
                }
                Node::Action(pipeline) => {
                    self.action(pipeline, dot)?;
                    continue; // Its variables live on.
                }
                Node::If { test, body, otherwise } => {
                    let value = self.pipeline(test, dot)?;
                    self.set(test, &value)?;
                    self.nodes(if value.is_true() { body } else { otherwise }, dot)?
                }
                Node::With { test, body, otherwise } => {
                    let value = self.pipeline(test, dot)?;
                    self.set(test, &value)?;
                    if value.is_true() {
                        self.nodes(body, &value)?
                    } else {
                        self.nodes(otherwise, dot)?
                    }
                }
                Node::Range { over, body, otherwise } => {
                    let value = self.pipeline(over, dot)?;
                    let items = items(value)?;
                    if items.is_empty() {
                        self.nodes(otherwise, dot)?
                    } else {
                        self.range(over, items, body)?
                    }
                }
                Node::Break => Flow::Breaks,
                Node::Continue => Flow::Continues,
            };
            self.variables.truncate(scope);
            if flow != Flow::Goes {
                return Ok(flow);
            }
        }
        Ok(Flow::Goes)
    }

    fn action(&mut self, pipeline: &Pipeline, dot: &Shared<'a>) -> Result<(), TemplateError> {
        let value = self.pipeline(pipeline, dot)?;
        if !pipeline.variables.is_empty() {
            return self.set(pipeline, &value);
        }
        if *value == Value::Null {
            self.output.push_str("<no value>");
        } else {
            self.output.push_str(&value.to_string());
        }
        Ok(())
    }

    fn range(
        &mut self,
        over: &Pipeline,
        items: Vec<(Shared<'a>, Shared<'a>)>,
        body: &[Node],
    ) -> Result<Flow, TemplateError> {
        for (index, item) in items {
            self.step()?;
            let scope = self.variables.len();
            let values: &[&Shared<'a>] =
                if over.variables.len() == 2 { &[&index, &item] } else { &[&item] };
            for (name, value) in over.variables.iter().zip(values) {
                self.set_variable(name, over.declares, value)?;
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Breaks {
                break;
            }
        }
        Ok(Flow::Goes)
    }

    fn set(&mut self, pipeline: &Pipeline, value: &Shared<'a>) -> Result<(), TemplateError> {
        for name in &pipeline.variables {
            self.set_variable(name, pipeline.declares, value)?;
        }
        Ok(())
    }

    fn set_variable(
        &mut self,
        name: &str,
        declares: bool,
        value: &Shared<'a>,
    ) -> Result<(), TemplateError> {
        if declares {
            self.variables.push((name.to_owned(), value.clone()));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            Some((_, variable)) => {
                *variable = value.clone();
                Ok(())
            }
            None => Err(TemplateError::new(format!("undefined variable \"${name}\""))),
        }
    }

    fn pipeline(
        &mut self,
        pipeline: &Pipeline,
        dot: &Shared<'a>,
    ) -> Result<Shared<'a>, TemplateError> {
        let mut last = None;
        for command in &pipeline.commands {
            self.step()?;
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Cow::Owned(Value::Null)))
    }

    /// Carries a command out; `last` is the value piped into it, its last argument.
    fn command(
        &mut self,
        command: &[Operand],
        dot: &Shared<'a>,
        last: Option<Shared<'a>>,
    ) -> Result<Shared<'a>, TemplateError> {
        let Some((first, rest)) = command.split_first() else {
            return Err(TemplateError::new("missing value for command"));
        };
        if let Operand::Function(name) = first {
            // `and` and `or` stop at the argument that decides.
            if let Some(decider) = functions::decider(name) {
                return self.decide(decider, rest, dot, last);
            }
            let mut arguments = self.arguments(rest, dot)?;
            arguments.extend(last);
            return functions::call(name, &arguments).map(Cow::Owned);
        }
        let value = self.operand(first, dot)?;
        let mut arguments = self.arguments(rest, dot)?;
        arguments.extend(last);
        match (value.as_ref(), arguments.as_slice()) {
            (Value::Lookup(entries), [key]) => {
                let key = key.to_string();
                let found = entries.iter().find(|(k, _)| *k == key);
                Ok(Cow::Owned(Value::text(found.map_or("", |(_, value)| value))))
            }
            (Value::Lookup(_), _) => Err(TemplateError::new("it takes one key")),
            (_, []) => Ok(value),
            (_, [..]) => Err(TemplateError::new("can't give argument to non-function")),
        }
    }

    fn arguments(
        &mut self,
        operands: &[Operand],
        dot: &Shared<'a>,
    ) -> Result<Vec<Shared<'a>>, TemplateError> {
        operands.iter().map(|operand| self.operand(operand, dot)).collect()
    }

    fn decide(
        &mut self,
        decider: bool,
        operands: &[Operand],
        dot: &Shared<'a>,
        last: Option<Shared<'a>>,
    ) -> Result<Shared<'a>, TemplateError> {
        let mut value = None;
        for operand in operands {
            let next = self.operand(operand, dot)?;
            if next.is_true() == decider {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value).ok_or_else(|| TemplateError::new("wrong number of args: want at least 1"))
    }

    fn operand(
        &mut self,
        operand: &Operand,
        dot: &Shared<'a>,
    ) -> Result<Shared<'a>, TemplateError> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Literal(value) => Ok(Cow::Owned(value.clone())),
            Operand::Field(name) => self.field(dot, name),
            Operand::Variable(name) => match self.variables.iter().rev().find(|(n, _)| n == name) {
                Some((_, value)) => Ok(value.clone()),
                None => Err(TemplateError::new(format!("undefined variable \"${name}\""))),
            },
            Operand::Function(name) => functions::call(name, &[]).map(Cow::Owned),
            Operand::Group(pipeline) => self.pipeline(pipeline, dot),
            Operand::Chain(of, fields) => {
                let mut value = self.operand(of, dot)?;
                for name in fields {
                    value = self.field(&value, name)?;
                }
                Ok(value)
            }
        }
    }

    /// The value of a field.
    ///
    /// A field the data itself does not have is a mistake in the template. Deeper down it may have
    /// been left out for being empty, so it is nothing there.
    fn field(&self, of: &Shared<'a>, name: &str) -> Result<Shared<'a>, TemplateError> {
        let is_root = matches!(of, Cow::Borrowed(of) if std::ptr::eq(*of, self.root));
        let found = match of {
            Cow::Borrowed(of) => of.get(name).map(Cow::Borrowed),
            Cow::Owned(of) => of.get(name).cloned().map(Cow::Owned),
        };
        match (found, of.as_ref()) {
            (Some(value), _) => Ok(value),
            (None, Value::Map(_)) if !is_root => Ok(Cow::Owned(Value::Null)),
            (None, Value::Map(_)) => {
                Err(TemplateError::new(format!("<.{name}>: map has no entry for key {name:?}")))
            }
            (None, Value::Null) => {
                Err(TemplateError::new(format!("<.{name}>: nil data; no entry for key {name:?}")))
            }
            (None, other) => Err(TemplateError::new(format!(
                "<.{name}>: can't evaluate field {name} in type {}",
                other.kind()
            ))),
        }
    }
}

/// What `range` goes over: index or key, and item. Maps are gone through by key.
fn items(value: Shared<'_>) -> Result<Vec<(Shared<'_>, Shared<'_>)>, TemplateError> {
    let index = |(item, index)| (Cow::Owned(Value::Int(index)), item);
    match value {
        Cow::Borrowed(Value::List(list)) => {
            Ok(list.iter().map(Cow::Borrowed).zip(0..).map(index).collect())
        }
        Cow::Owned(Value::List(list)) => {
            Ok(list.into_iter().map(Cow::Owned).zip(0..).map(index).collect())
        }
        Cow::Borrowed(Value::Map(entries)) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(entries
                .into_iter()
                .map(|(key, item)| (Cow::Owned(Value::text(key)), Cow::Borrowed(item)))
                .collect())
        }
        Cow::Owned(Value::Map(mut entries)) => {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let pair = |(key, item)| (Cow::Owned(Value::Text(key)), Cow::Owned(item));
            Ok(entries.into_iter().map(pair).collect())
        }
        Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) => Ok(Vec::new()),
        Cow::Borrowed(_) | Cow::Owned(_) => {
            Err(TemplateError::new(format!("range can't iterate over {value}")))
        }
    }
}
