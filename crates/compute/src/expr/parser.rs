//! The parser: tokens to a tree, with Druid's precedence (unary, `^` to the right, `* / %`, `+ -`, comparisons, then `&&`
//! and `||` alike), and constant folding on the way up.

use std::sync::Arc;

use ovate_base::{DruidError, Result};

use super::eval;
use super::functions;
use super::lexer::{Token, tokens};
use super::node::{ApplyFn, BinaryOp, Call, Lambda, LazyFn, Literal, Node, UnaryOp};
use crate::types::ColumnType;
use crate::value::{Value, unify_elements};

/// Nesting that a text may have; deeper texts would exhaust the stack.
const DEPTH_MAX: usize = 100;

/// Operators in a row, such as `a + b + c`, that a text may have: they nest to the left. `&&` and `||` have no bound.
const CHAIN_MAX: usize = 100;

/// Parses a text.
pub(super) fn parse(text: &str) -> Result<Node> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let node = parser.expression(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(node),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

/// Binding power of a binary operator, and whether it groups to the right.
fn power(symbol: &str) -> Option<(u8, bool)> {
    Some(match symbol {
        "&&" | "||" => (1, false),
        "<" | "<=" | ">" | ">=" | "==" | "!=" => (2, false),
        "+" | "-" => (3, false),
        "*" | "/" | "%" => (4, false),
        "^" => (5, true),
        _ => return None,
    })
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn peek_symbol(&self, offset: usize) -> Option<&'static str> {
        match self.tokens.get(self.at + offset) {
            Some((Token::Symbol(symbol), _)) => Some(symbol),
            _ => None,
        }
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek_symbol(0) == Some(symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> DruidError {
        let text = self.text;
        DruidError::invalid_input(match self.tokens.get(self.at) {
            Some((_, position)) => {
                let near: String = text[*position..].chars().take(20).collect();
                format!("Expression [{text}] is not valid at position [{position}], near [{near}]")
            }
            None => format!("Expression [{text}] ends too early"),
        })
    }

    fn expression(&mut self, least: u8) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("Expression is nested deeper than {DEPTH_MAX}")));
        }
        let mut left = self.unary()?;
        let mut chain = 0;
        while let Some(symbol) = self.peek_symbol(0) {
            let Some((power, right_grouping)) = power(symbol).filter(|(power, _)| *power > least) else { break };
            self.at += 1;
            if symbol == "&&" || symbol == "||" {
                // A run of the same operator becomes a flat tree: filters may have thousands of terms.
                let mut terms = vec![left, self.expression(power)?];
                while self.take_symbol(symbol) {
                    terms.push(self.expression(power)?);
                }
                left = balanced(symbol, terms);
            } else {
                let right = self.expression(if right_grouping { power - 1 } else { power })?;
                left = eval::fold(binary(symbol, left, right));
            }
            chain += 1;
            if chain > CHAIN_MAX {
                return Err(DruidError::invalid_input(format!("Expression has more than {CHAIN_MAX} operators in a row")));
            }
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node> {
        if self.take_symbol("-") {
            if self.peek() == Some(&Token::LongMin) {
                self.at += 1;
                return Ok(literal(Value::Long(i64::MIN)));
            }
            self.enter()?;
            let child = self.unary()?;
            self.depth -= 1;
            return Ok(eval::fold(Node::Unary(UnaryOp::Minus, Box::new(child))));
        }
        if self.take_symbol("!") {
            self.enter()?;
            let child = self.unary()?;
            self.depth -= 1;
            return Ok(eval::fold(Node::Unary(UnaryOp::Not, Box::new(child))));
        }
        self.primary()
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("Expression is nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    fn primary(&mut self) -> Result<Node> {
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected()) };
        match token {
            Token::Long(value) => {
                self.at += 1;
                Ok(literal(Value::Long(value)))
            }
            Token::Double(value) => {
                self.at += 1;
                Ok(literal(Value::Double(value)))
            }
            Token::Text(text) => {
                self.at += 1;
                Ok(literal(Value::from(text)))
            }
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => self.array(None),
            Token::ArrayType(name) => {
                self.at += 1;
                let element = ColumnType::parse(&name)?;
                self.array(Some(element))
            }
            Token::Identifier { name, quoted } => {
                self.at += 1;
                if name == "null" && !quoted {
                    return Ok(Node::Literal(Literal { value: Value::Null, column_type: None }));
                }
                if self.take_symbol("(") {
                    return self.call(&name);
                }
                Ok(Node::Column(Arc::from(name)))
            }
            Token::Symbol(_) | Token::LongMin => Err(self.unexpected()),
        }
    }

    fn array(&mut self, element: Option<ColumnType>) -> Result<Node> {
        self.expect("[")?;
        let mut elements = Vec::new();
        while !self.take_symbol("]") {
            if !elements.is_empty() {
                self.expect(",")?;
            }
            let negative = self.take_symbol("-");
            let value = match (self.peek(), negative) {
                (Some(Token::Long(value)), false) => Value::Long(*value),
                (Some(Token::Long(value)), true) => Value::Long(-value),
                (Some(Token::LongMin), true) => Value::Long(i64::MIN),
                (Some(Token::Double(value)), false) => Value::Double(*value),
                (Some(Token::Double(value)), true) => Value::Double(-value),
                (Some(Token::Text(text)), false) => Value::from(text.as_str()),
                (Some(Token::Identifier { name, quoted: false }), false) if name == "null" => Value::Null,
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
            elements.push(value);
        }
        Ok(Node::Literal(match element {
            Some(element) => Literal {
                value: Value::Array(elements.iter().map(|value| value.cast(&element)).collect()),
                column_type: Some(ColumnType::array(element)),
            },
            None => Literal::new(Value::Array(unify_elements(elements))),
        }))
    }

    fn call(&mut self, name: &str) -> Result<Node> {
        let name = name.to_ascii_lowercase();
        if let Some(function) = ApplyFn::parse(&name)
            && let Some(lambda) = self.lambda()?
        {
            let args = if self.take_symbol(",") { self.arguments()? } else { return Err(self.unexpected()) };
            check_apply(function, &lambda, args.len())?;
            return Ok(Node::Apply { function, lambda: Arc::new(lambda), args });
        }
        let args = self.arguments()?;
        make_call(&name, args)
    }

    /// The rest of an argument list with its closing parenthesis.
    fn arguments(&mut self) -> Result<Vec<Node>> {
        let mut args = Vec::new();
        if self.take_symbol(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.take_symbol(")") {
                return Ok(args);
            }
            self.expect(",")?;
        }
    }

    fn lambda(&mut self) -> Result<Option<Lambda>> {
        let start = self.at;
        let mut params = Vec::new();
        let parenthesised = self.take_symbol("(");
        while let Some(Token::Identifier { name, .. }) = self.peek().cloned() {
            self.at += 1;
            params.push(Arc::from(name));
            if !parenthesised || !self.take_symbol(",") {
                break;
            }
        }
        if (parenthesised && !self.take_symbol(")")) || !self.take_symbol("->") {
            self.at = start;
            return Ok(None);
        }
        let body = self.expression(0)?;
        Ok(Some(Lambda { params, body }))
    }
}

/// The terms joined by `&&` or `||`, in order, in a tree of least height.
fn balanced(symbol: &str, mut terms: Vec<Node>) -> Node {
    if terms.len() > 2 {
        let right = terms.split_off(terms.len().div_ceil(2));
        return eval::fold(binary(symbol, balanced(symbol, terms), balanced(symbol, right)));
    }
    match (terms.pop(), terms.pop()) {
        (Some(right), Some(left)) => eval::fold(binary(symbol, left, right)),
        (Some(one), None) => one,
        (None, _) => unreachable!("a run has terms"),
    }
}

fn check_apply(function: ApplyFn, lambda: &Lambda, args: usize) -> Result<()> {
    let params = lambda.params.len();
    let fits = match function {
        ApplyFn::Map | ApplyFn::Filter | ApplyFn::Any | ApplyFn::All => params <= 1 && args == 1,
        ApplyFn::CartesianMap => params == args && args > 0,
        ApplyFn::Fold => params == 2 && args == 2,
        ApplyFn::CartesianFold => params == args && args >= 2,
    };
    if fits {
        return Ok(());
    }
    Err(DruidError::invalid_input(format!(
        "Function[{}] lambda expression argument count of {params} does not match the {args} arguments passed to it",
        function.name()
    )))
}

fn literal(value: Value) -> Node {
    Node::Literal(Literal::new(value))
}

fn binary(symbol: &str, left: Node, right: Node) -> Node {
    let (left, right) = (Box::new(left), Box::new(right));
    let op = match symbol {
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Subtract,
        "*" => BinaryOp::Multiply,
        "/" => BinaryOp::Divide,
        "%" => BinaryOp::Modulo,
        "^" => BinaryOp::Power,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEqual,
        ">" => BinaryOp::Greater,
        ">=" => BinaryOp::GreaterEqual,
        "==" => BinaryOp::Equal,
        "!=" => BinaryOp::NotEqual,
        logic => return Node::Logic { or: logic == "||", left, right },
    };
    Node::Binary(op, left, right)
}

/// Makes a function call: checks the number of arguments, compiles literal ones, folds constants.
pub(super) fn make_call(name: &str, args: Vec<Node>) -> Result<Node> {
    if let Some(lazy) = LazyFn::parse(name) {
        let fits = match lazy {
            LazyFn::If => args.len() == 3,
            LazyFn::Nvl => args.len() == 2,
            LazyFn::Coalesce => !args.is_empty(),
            LazyFn::CaseSearched => args.len() >= 2,
            LazyFn::CaseSimple => args.len() >= 3,
        };
        if !fits {
            return Err(DruidError::invalid_input(format!("Function[{name}] cannot take [{}] arguments", args.len())));
        }
        return Ok(eval::fold(Node::Lazy(lazy, args)));
    }
    let Some(function) = functions::find(name) else {
        return Err(DruidError::invalid_input(format!("function '{name}' is not defined.")));
    };
    if args.len() < function.min_args || args.len() > function.max_args {
        return Err(DruidError::invalid_input(format!("Function[{name}] cannot take [{}] arguments", args.len())));
    }
    let literals: Vec<Option<&Value>> = args
        .iter()
        .map(|arg| match arg {
            Node::Literal(literal) => Some(&literal.value),
            _ => None,
        })
        .collect();
    let callable = function.callable(&literals).map_err(|error| error.prefixed(format!("Function[{name}]")))?;
    Ok(eval::fold(Node::Call(Call { function, callable, args })))
}
