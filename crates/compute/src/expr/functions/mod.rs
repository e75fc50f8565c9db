//! The functions of the expression language, one file a family. A function is a row of a table: name, number of arguments,
//! which of them are arrays, result type, and how to build what is called from literal arguments.

mod array;
mod general;
mod human;
mod ip;
mod json;
mod json_order;
mod math;
mod reduce;
mod sketch;
mod string;
mod time;

pub(crate) use json::{cast_json, document_at, scalar_at};

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use ovate_base::{DruidError, Granularity, Result};

use super::batch::Operand;
use super::node::Node;
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A function ready to be called.
pub(super) trait Callable: Send + Sync {
    /// On one row.
    fn call(&self, args: &[Value], context: &EvalContext) -> Result<Value>;
    /// On a batch; `None` where there is no quicker way than row by row. At least one argument is a vector.
    fn batch(&self, _args: &[Operand], _len: usize) -> Result<Option<Vector>> {
        Ok(None)
    }
    /// For a function of an instant, its other arguments being constants: a granularity within whose buckets the result does
    /// not change.
    fn time_step(&self) -> Option<Granularity> {
        None
    }
}

/// What a function gives back.
#[derive(Clone, Copy)]
pub(super) enum Output {
    Long,
    Double,
    String,
    Json,
    StringArray,
    JsonArray,
    /// From the types of the arguments, and the arguments.
    Of(fn(&[Option<ColumnType>], &[Node]) -> Option<ColumnType>),
}

type Simple = fn(&[Value]) -> Result<Value>;
type Prepared = fn(&[Option<&Value>]) -> Result<Arc<dyn Callable>>;

/// A row of the table.
pub(super) struct Function {
    pub name: &'static str,
    pub min_args: usize,
    pub max_args: usize,
    /// Bit `i`: argument `i` takes an array.
    pub arrays: u32,
    pub output: Output,
    /// Never folded.
    pub volatile: bool,
    build: Prepared,
    simple: Option<Simple>,
}

/// All arguments take arrays.
const ALL: u32 = u32::MAX;
/// No bound on the number of arguments.
const MANY: usize = usize::MAX;

impl Function {
    const fn simple(name: &'static str, args: (usize, usize), output: Output, simple: Simple) -> Function {
        let build: Prepared = |_| Err(DruidError::runtime("a simple function is not built"));
        Function { name, min_args: args.0, max_args: args.1, arrays: 0, output, volatile: false, build, simple: Some(simple) }
    }

    const fn prepared(name: &'static str, args: (usize, usize), output: Output, build: Prepared) -> Function {
        Function { name, min_args: args.0, max_args: args.1, arrays: 0, output, volatile: false, build, simple: None }
    }

    const fn arrays(mut self, arrays: u32) -> Function {
        self.arrays = arrays;
        self
    }

    const fn volatile(mut self) -> Function {
        self.volatile = true;
        self
    }

    /// Compiles a call; `literals` holds the arguments that are constants.
    pub(super) fn callable(&'static self, literals: &[Option<&Value>]) -> Result<Arc<dyn Callable>> {
        match self.simple {
            Some(simple) => Ok(Arc::new(SimpleCall(simple))),
            None => (self.build)(literals),
        }
    }

    /// The type of the result.
    pub(super) fn output_type(&self, types: &[Option<ColumnType>], args: &[Node]) -> Option<ColumnType> {
        Some(match self.output {
            Output::Long => ColumnType::Long,
            Output::Double => ColumnType::Double,
            Output::String => ColumnType::String,
            Output::Json => ColumnType::complex("json"),
            Output::StringArray => ColumnType::array(ColumnType::String),
            Output::JsonArray => ColumnType::array(ColumnType::complex("json")),
            Output::Of(of) => return of(types, args),
        })
    }
}

struct SimpleCall(Simple);

impl Callable for SimpleCall {
    fn call(&self, args: &[Value], _context: &EvalContext) -> Result<Value> {
        (self.0)(args)
    }
}

struct ClosureCall<F>(F);

impl<F: Fn(&[Value], &EvalContext) -> Result<Value> + Send + Sync> Callable for ClosureCall<F> {
    fn call(&self, args: &[Value], context: &EvalContext) -> Result<Value> {
        (self.0)(args, context)
    }
}

/// A callable out of a closure.
fn closure(call: impl Fn(&[Value], &EvalContext) -> Result<Value> + Send + Sync + 'static) -> Arc<dyn Callable> {
    Arc::new(ClosureCall(call))
}

/// The function of that (lower case) name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    static TABLE: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
        let families: [&'static [Function]; 10] = [
            general::FUNCTIONS,
            string::FUNCTIONS,
            time::FUNCTIONS,
            math::FUNCTIONS,
            array::FUNCTIONS,
            json::FUNCTIONS,
            reduce::FUNCTIONS,
            ip::FUNCTIONS,
            human::FUNCTIONS,
            sketch::FUNCTIONS,
        ];
        families.into_iter().flatten().map(|function| (function.name, function)).collect()
    });
    TABLE.get(name).copied()
}

/// A text argument.
fn text(args: &[Value], index: usize) -> Option<Arc<str>> {
    args.get(index).and_then(Value::as_text)
}

/// A value that may be missing.
fn nullable<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, Into::into)
}

/// A truth value as Druid's long.
fn boolean(value: bool) -> Value {
    Value::Long(i64::from(value))
}

/// A literal text argument that has to be one.
fn literal_text(literals: &[Option<&Value>], index: usize, what: &str) -> Result<Option<Arc<str>>> {
    match literals.get(index) {
        None => Ok(None),
        Some(Some(value)) => Ok(value.as_text()),
        Some(None) => Err(DruidError::invalid_input(format!(" {what} argument must be a literal"))),
    }
}
