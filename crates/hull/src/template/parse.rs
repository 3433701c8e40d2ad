//! Tokens to a tree.

use super::TemplateError;
use super::lex::Token;
use super::value::Value;

/// How deep actions and parentheses may nest.
const DEPTH_MAX: usize = 64;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// A pipeline whose value is written, unless it sets a variable.
    Action(Pipeline),
    If {
        test: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        test: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

/// `$x := a | b | c`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pipeline {
    /// The variables it sets: one, or index and element in `range`.
    pub(super) variables: Vec<String>,
    /// Whether they are new (`:=`) or exist (`=`).
    pub(super) declares: bool,
    pub(super) commands: Vec<Command>,
}

/// A word with its arguments.
pub(super) type Command = Vec<Operand>;

/// One word of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Dot,
    Literal(Value),
    Field(String),
    Variable(String),
    Function(String),
    Group(Pipeline),
    /// `.a.b`, `$x.y`, `(...).z`.
    Chain(Box<Operand>, Vec<String>),
}

/// What ends a list of nodes.
#[derive(Debug, PartialEq)]
enum Stop {
    End,
    /// `else`, with the `if` or `with` behind it, if any.
    Else(Option<(Keyword, Pipeline)>),
    EndOfText,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Keyword {
    If,
    With,
    Range,
}

impl Keyword {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "if" => Some(Self::If),
            "with" => Some(Self::With),
            "range" => Some(Self::Range),
            _ => None,
        }
    }
}

/// Reads a whole template.
pub(super) fn parse(tokens: Vec<Token>) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), depth: 0, loops: 0 };
    match parser.nodes()? {
        (nodes, Stop::EndOfText) => Ok(nodes),
        (_, Stop::End) => Err(TemplateError::new("unexpected {{end}}")),
        (_, Stop::Else(_)) => Err(TemplateError::new("unexpected {{else}}")),
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
    loops: usize,
}

impl Parser {
    fn deeper(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(TemplateError::new(format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        loop {
            match self.tokens.next() {
                None => return Ok((nodes, Stop::EndOfText)),
                Some(Token::Text(text)) => nodes.push(Node::Text(text)),
                Some(Token::Open) => match self.action()? {
                    Ok(node) => nodes.push(node),
                    Err(stop) => return Ok((nodes, stop)),
                },
                Some(other) => return Err(unexpected(&other, "text")),
            }
        }
    }

    /// An action: a node, or what ends the list of nodes around it.
    fn action(&mut self) -> Result<Result<Node, Stop>, TemplateError> {
        let word = match self.tokens.peek() {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        if let Some(keyword) = Keyword::parse(&word) {
            self.tokens.next();
            let test = self.pipeline(&Token::Close, keyword == Keyword::Range)?;
            return self.control(keyword, test).map(Ok);
        }
        match word.as_str() {
            "end" => {
                self.tokens.next();
                self.close()?;
                Ok(Err(Stop::End))
            }
            "else" => {
                self.tokens.next();
                let next = match self.tokens.peek() {
                    Some(Token::Word(word)) => Keyword::parse(word),
                    _ => None,
                };
                let Some(keyword) = next.filter(|keyword| *keyword != Keyword::Range) else {
                    self.close()?;
                    return Ok(Err(Stop::Else(None)));
                };
                self.tokens.next();
                let test = self.pipeline(&Token::Close, false)?;
                Ok(Err(Stop::Else(Some((keyword, test)))))
            }
            "break" | "continue" => {
                self.tokens.next();
                self.close()?;
                if self.loops == 0 {
                    return Err(TemplateError::new(format!(
                        "{{{{{word}}}}} outside {{{{range}}}}"
                    )));
                }
                Ok(Ok(if word == "break" { Node::Break } else { Node::Continue }))
            }
            "define" | "template" | "block" => {
                Err(TemplateError::new(format!("{{{{{word}}}}} is not supported")))
            }
            _ => Ok(Ok(Node::Action(self.pipeline(&Token::Close, false)?))),
        }
    }

    fn close(&mut self) -> Result<(), TemplateError> {
        match self.tokens.next() {
            Some(Token::Close) => Ok(()),
            Some(other) => Err(unexpected(&other, "end of action")),
            None => Err(TemplateError::new("unclosed action")),
        }
    }

    fn control(&mut self, keyword: Keyword, test: Pipeline) -> Result<Node, TemplateError> {
        self.deeper()?;
        self.loops += usize::from(keyword == Keyword::Range);
        let (body, stop) = self.nodes()?;
        self.loops -= usize::from(keyword == Keyword::Range);
        let otherwise = match stop {
            Stop::End => Vec::new(),
            Stop::Else(None) => match self.nodes()? {
                (nodes, Stop::End) => nodes,
                (_, Stop::Else(_)) => {
                    return Err(TemplateError::new("expected end; found {{else}}"));
                }
                (_, Stop::EndOfText) => return Err(TemplateError::new("unexpected EOF")),
            },
            // `else if` is an `if` inside the `else`, and shares its end.
            Stop::Else(Some((keyword, test))) => vec![self.control(keyword, test)?],
            Stop::EndOfText => return Err(TemplateError::new("unexpected EOF")),
        };
        self.depth -= 1;
        Ok(match keyword {
            Keyword::If => Node::If { test, body, otherwise },
            Keyword::With => Node::With { test, body, otherwise },
            Keyword::Range => Node::Range { over: test, body, otherwise },
        })
    }

    fn pipeline(&mut self, end: &Token, in_range: bool) -> Result<Pipeline, TemplateError> {
        self.deeper()?;
        let mut pipeline = Pipeline::default();
        let mut command = Command::new();
        loop {
            let token = self.tokens.next().ok_or_else(|| TemplateError::new("unclosed action"))?;
            if token == *end {
                break;
            }
            if token == Token::Pipe && !command.is_empty() {
                pipeline.commands.push(std::mem::take(&mut command));
                if self.tokens.peek() == Some(end) {
                    return Err(TemplateError::new("missing value for command"));
                }
            } else if matches!(token, Token::Declare | Token::Assign | Token::Comma) {
                self.variable(&token, &mut command, &mut pipeline, in_range)?;
            } else {
                self.operand(token, &mut command)?;
            }
        }
        if command.is_empty() {
            return Err(TemplateError::new("missing value for command"));
        }
        pipeline.commands.push(command);
        self.depth -= 1;
        Ok(pipeline)
    }

    /// Turns the variable just read into one that is set.
    fn variable(
        &mut self,
        token: &Token,
        command: &mut Command,
        pipeline: &mut Pipeline,
        in_range: bool,
    ) -> Result<(), TemplateError> {
        let is_first = pipeline.commands.is_empty() && !pipeline.declares;
        let name = match command.as_slice() {
            [Operand::Variable(name)] if is_first && !name.is_empty() => name.clone(),
            _ => return Err(unexpected(token, "operand")),
        };
        command.clear();
        pipeline.variables.push(name);
        let more = *token == Token::Comma;
        if pipeline.variables.len() > if in_range { 2 } else { 1 } || (more && !in_range) {
            return Err(TemplateError::new("too many declarations"));
        }
        pipeline.declares = *token == Token::Declare;
        Ok(())
    }

    fn operand(&mut self, token: Token, command: &mut Command) -> Result<(), TemplateError> {
        let operand = match token {
            Token::Field { name, is_attached: true } => {
                let last = command.pop().ok_or_else(|| TemplateError::new("unexpected field"))?;
                command.push(match last {
                    Operand::Chain(of, mut fields) => {
                        fields.push(name);
                        Operand::Chain(of, fields)
                    }
                    Operand::Dot | Operand::Literal(_) | Operand::Function(_) => {
                        return Err(TemplateError::new(format!("unexpected .{name}")));
                    }
                    of @ (Operand::Field(_) | Operand::Variable(_) | Operand::Group(_)) => {
                        Operand::Chain(Box::new(of), vec![name])
                    }
                });
                return Ok(());
            }
            Token::Field { name, is_attached: false } => Operand::Field(name),
            Token::Dot => Operand::Dot,
            Token::Variable(name) => Operand::Variable(name),
            Token::Quoted(text) => Operand::Literal(Value::Text(text)),
            Token::Int(number) => Operand::Literal(Value::Int(number)),
            Token::Float(number) => Operand::Literal(Value::Float(number)),
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Literal(Value::Bool(true)),
                "false" => Operand::Literal(Value::Bool(false)),
                "nil" => Operand::Literal(Value::Null),
                name if super::functions::exists(name) => Operand::Function(word),
                _ => return Err(TemplateError::new(format!("function {word:?} not defined"))),
            },
            Token::OpenParen => Operand::Group(self.pipeline(&Token::CloseParen, false)?),
            Token::Text(_)
            | Token::Open
            | Token::Close
            | Token::Pipe
            | Token::Comma
            | Token::CloseParen
            | Token::Declare
            | Token::Assign => return Err(unexpected(&token, "operand")),
        };
        command.push(operand);
        Ok(())
    }
}

fn unexpected(token: &Token, place: &str) -> TemplateError {
    TemplateError::new(format!("unexpected {token:?} in {place}"))
}
