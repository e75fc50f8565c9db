//! Evaluation on batches: a walk over the tree with one vector a node. Loops over longs and doubles for arithmetic,
//! comparisons and logic; a function of one dictionary vector is called once a distinct code; choices evaluate a branch only on
//! the rows that take it; everything else goes row by row.

use std::cell::OnceCell;
use std::sync::Arc;

use hashbrown::HashMap;
use ovate_base::Result;

use super::eval::{self, Scope};
use super::infer;
use super::node::{BinaryOp, Call, LazyFn, Node, UnaryOp};
use crate::column::Dictionary;
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

mod numbers;

/// What a node gives for a batch.
#[derive(Clone)]
pub(super) enum Operand {
    /// The same value in every row.
    Constant(Value),
    Vector(Arc<Vector>),
}

impl Operand {
    pub(super) fn value(&self, row: usize) -> Value {
        match self {
            Operand::Constant(value) => value.clone(),
            Operand::Vector(vector) => vector.value(row),
        }
    }

    pub(super) fn into_vector(self, len: usize, target: Option<&ColumnType>) -> Vector {
        let vector = match self {
            Operand::Constant(value) => Vector::constant(&value, len),
            Operand::Vector(vector) => Arc::try_unwrap(vector).unwrap_or_else(|shared| shared.as_ref().clone()),
        };
        match target {
            Some(target) if vector.column_type().as_ref() != Some(target) => vector.cast(target),
            _ => vector,
        }
    }

    pub(super) fn gather(&self, rows: &[u32]) -> Operand {
        match self {
            Operand::Constant(_) => self.clone(),
            Operand::Vector(vector) => Operand::Vector(Arc::new(vector.gather(rows))),
        }
    }
}

/// The columns of a batch by name.
pub(super) struct Batch<'a> {
    columns: Vec<(Arc<str>, Column<'a>)>,
    pub len: usize,
    context: &'a EvalContext,
    /// Numbers of the rows in their source, where results are shared between expressions.
    ids: Option<Arc<[u32]>>,
}

/// A column as it stands, or rows of one that are gathered when they are needed.
enum Column<'a> {
    Whole(Operand),
    Rows { of: &'a Operand, rows: &'a [u32], gathered: OnceCell<Operand> },
}

impl Column<'_> {
    fn operand(&self) -> &Operand {
        match self {
            Column::Whole(operand) => operand,
            Column::Rows { of, rows, gathered } => gathered.get_or_init(|| of.gather(rows)),
        }
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(columns: Vec<(Arc<str>, Operand)>, len: usize, context: &'a EvalContext) -> Self {
        let columns = columns.into_iter().map(|(name, operand)| (name, Column::Whole(operand))).collect();
        Batch { columns, len, context, ids: None }
    }

    /// Says which rows of the source these are, so that shared parts are remembered.
    pub(super) fn name_rows(&mut self, ids: Arc<[u32]>) {
        self.ids = Some(ids);
    }

    fn column(&self, name: &str) -> Option<&Operand> {
        self.columns.iter().find(|(own, _)| own.as_ref() == name).map(|(_, column)| column.operand())
    }

    /// The rows at these positions, as a batch.
    fn rows<'b>(&'b self, rows: &'b [u32]) -> Batch<'b> {
        let columns = self
            .columns
            .iter()
            .map(|(name, column)| (name.clone(), Column::Rows { of: column.operand(), rows, gathered: OnceCell::new() }))
            .collect();
        let ids = self.ids.as_ref().map(|ids| rows.iter().map(|row| ids[*row as usize]).collect());
        Batch { columns, len: rows.len(), context: self.context, ids }
    }

    fn column_type(&self, name: &str) -> Option<ColumnType> {
        match self.column(name)? {
            Operand::Constant(value) => value.value_type(),
            Operand::Vector(vector) => vector.column_type(),
        }
    }

    fn infer(&self, node: &Node) -> Option<ColumnType> {
        infer::output_type(node, &|name| self.column_type(name))
    }
}

/// Evaluates a node on a batch.
pub(super) fn eval(node: &Node, batch: &Batch<'_>) -> Result<Operand> {
    match node {
        Node::Literal(literal) => Ok(Operand::Constant(literal.value.clone())),
        Node::Column(name) => Ok(match batch.column(name) {
            Some(operand) => operand.clone(),
            None => Operand::Constant(Value::Null),
        }),
        Node::Unary(op, child) => unary(*op, eval(child, batch)?, node, batch),
        Node::Binary(op, left, right) => {
            let (left, right) = (eval(left, batch)?, eval(right, batch)?);
            binary(*op, left, right, node, batch)
        }
        Node::Logic { or, left, right } => logic(*or, left, right, batch),
        Node::Lazy(function, args) => lazy(*function, args, node, batch),
        Node::Call(call) => self::call(call, node, batch),
        Node::Apply { .. } => by_row(node, batch),
        Node::Shared { slot, node } => match &batch.ids {
            Some(ids) => match slot.recall(ids) {
                Some(known) => Ok(known),
                None => {
                    let result = eval(node, batch)?;
                    slot.remember(ids, &result);
                    Ok(result)
                }
            },
            None => eval(node, batch),
        },
    }
}

/// Evaluates a subtree row by row.
fn by_row(node: &Node, batch: &Batch<'_>) -> Result<Operand> {
    let mut values = Vec::with_capacity(batch.len);
    for row in 0..batch.len {
        let columns = |name: &str| batch.column(name).map_or(Value::Null, |operand| operand.value(row));
        values.push(eval::eval(node, &mut Scope::new(&columns), batch.context)?);
    }
    Ok(vector(values, batch.infer(node)))
}

/// A vector of the type that was foreseen, else of that which the values show.
fn vector(values: Vec<Value>, column_type: Option<ColumnType>) -> Operand {
    Operand::Vector(Arc::new(match column_type {
        Some(column_type) => Vector::from_values(&column_type, values),
        None => Vector::from_untyped(values),
    }))
}

fn unary(op: UnaryOp, operand: Operand, node: &Node, batch: &Batch<'_>) -> Result<Operand> {
    match operand {
        Operand::Constant(value) => Ok(Operand::Constant(eval::unary(op, &value)?)),
        Operand::Vector(own) => {
            if let Some(result) = numbers::unary(op, &own) {
                return Ok(Operand::Vector(Arc::new(result)));
            }
            let values = own.to_values().iter().map(|value| eval::unary(op, value)).collect::<Result<_>>()?;
            Ok(vector(values, batch.infer(node)))
        }
    }
}

fn binary(op: BinaryOp, left: Operand, right: Operand, node: &Node, batch: &Batch<'_>) -> Result<Operand> {
    if let (Operand::Constant(a), Operand::Constant(b)) = (&left, &right) {
        return Ok(Operand::Constant(eval::binary(op, a, b)?));
    }
    if let Some(result) = numbers::binary(op, &left, &right, batch.len)? {
        return Ok(Operand::Vector(Arc::new(result)));
    }
    let operands = [left, right];
    distinct_or_rows(&operands, batch.len, batch.infer(node), &mut |values| eval::binary(op, &values[0], &values[1]))
}

/// Calls a function of values once a distinct code where one operand is a dictionary vector and the others are constants,
/// else once a row.
fn distinct_or_rows(
    operands: &[Operand],
    len: usize,
    column_type: Option<ColumnType>,
    call: &mut dyn FnMut(&[Value]) -> Result<Value>,
) -> Result<Operand> {
    let mut args: Vec<Value> = operands
        .iter()
        .map(|operand| match operand {
            Operand::Constant(value) => value.clone(),
            Operand::Vector(_) => Value::Null,
        })
        .collect();
    let vectors: Vec<usize> = (0..operands.len()).filter(|i| matches!(operands[*i], Operand::Vector(_))).collect();
    if let [index] = vectors.as_slice()
        && let Operand::Vector(own) = &operands[*index]
        && let Vector::Codes { dictionary, codes } = own.as_ref()
    {
        let (distinct, positions) = distinct_codes(codes);
        let mut values = Vec::with_capacity(distinct.len());
        for code in distinct {
            args[*index] = dictionary.get(code)?.map_or(Value::Null, |text| Value::from(text.as_ref()));
            values.push(call(&args)?);
        }
        let Operand::Vector(small) = vector(values, column_type) else { unreachable!("`vector` gives a vector") };
        return Ok(Operand::Vector(Arc::new(spread(&small, positions))));
    }
    if let [first, second] = vectors.as_slice()
        && let (Operand::Vector(a), Operand::Vector(b)) = (&operands[*first], &operands[*second])
        && let (Vector::Codes { dictionary: a_texts, codes: a }, Vector::Codes { dictionary: b_texts, codes: b }) =
            (a.as_ref(), b.as_ref())
    {
        // Two dictionary columns: once a distinct pair.
        let pairs: Vec<u64> = a.iter().zip(b).map(|(a, b)| u64::from(*a) << 32 | u64::from(*b)).collect();
        let (distinct, positions) = distinct_codes(&pairs);
        let text = |dictionary: &dyn Dictionary, code: u64| -> Result<Value> {
            Ok(dictionary.get(code as u32)?.map_or(Value::Null, |text| Value::from(text.as_ref())))
        };
        let mut values = Vec::with_capacity(distinct.len());
        for pair in distinct {
            args[*first] = text(a_texts.as_ref(), pair >> 32)?;
            args[*second] = text(b_texts.as_ref(), pair & 0xffff_ffff)?;
            values.push(call(&args)?);
        }
        let Operand::Vector(small) = vector(values, column_type) else { unreachable!("`vector` gives a vector") };
        return Ok(Operand::Vector(Arc::new(spread(&small, positions))));
    }
    let by_row: Vec<(usize, Vec<Value>)> = vectors
        .iter()
        .filter_map(|index| match &operands[*index] {
            Operand::Vector(own) => Some((*index, own.to_values())),
            Operand::Constant(_) => None,
        })
        .collect();
    let mut values = Vec::with_capacity(len);
    for row in 0..len {
        for (index, own) in &by_row {
            args[*index] = own[row].clone();
        }
        values.push(call(&args)?);
    }
    Ok(vector(values, column_type))
}

/// The distinct codes in order of arrival, and for each row the position of its own among them.
pub(super) fn distinct_codes<T: Copy + Eq + std::hash::Hash>(codes: &[T]) -> (Vec<T>, Vec<u32>) {
    let mut seen: HashMap<T, u32, foldhash::fast::RandomState> = HashMap::default();
    let mut distinct = Vec::new();
    let positions = codes
        .iter()
        .map(|code| {
            *seen.entry(*code).or_insert_with(|| {
                distinct.push(*code);
                distinct.len() as u32 - 1
            })
        })
        .collect();
    (distinct, positions)
}

/// The distinct rows of a vector of texts or arrays, and for each row the position of its own among them. `None` for vectors
/// of other things, and where so few rows are alike that it does not pay.
pub(super) fn distinct_rows(vector: &Vector) -> Option<(Vector, Vec<u32>)> {
    let Vector::Any { column_type, values } = vector else { return None };
    let mut keys: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState> = HashMap::default();
    let mut distinct = Vec::new();
    let mut positions = Vec::with_capacity(values.len());
    let mut key = Vec::new();
    for (row, value) in values.iter().enumerate() {
        key.clear();
        write_key(value, &mut key)?;
        let position = match keys.get(key.as_slice()) {
            Some(position) => *position,
            None => {
                keys.insert(key.as_slice().into(), distinct.len() as u32);
                distinct.push(value.clone());
                distinct.len() as u32 - 1
            }
        };
        positions.push(position);
        if row == 255 && distinct.len() > 128 {
            return None;
        }
    }
    (distinct.len() * 2 <= values.len()).then(|| (Vector::Any { column_type: column_type.clone(), values: distinct }, positions))
}

/// Bytes that are equal just when values are the same and of the same type; `None` for values that have none.
fn write_key(value: &Value, key: &mut Vec<u8>) -> Option<()> {
    let mut sized = |tag: u8, bytes: &[u8]| {
        key.push(tag);
        key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        key.extend_from_slice(bytes);
    };
    match value {
        Value::Null => key.push(0),
        Value::Long(number) => sized(1, &number.to_le_bytes()),
        Value::Float(number) => sized(2, &number.to_bits().to_le_bytes()),
        Value::Double(number) => sized(3, &number.to_bits().to_le_bytes()),
        Value::String(text) => sized(4, text.as_bytes()),
        Value::Array(elements) => {
            sized(5, &(elements.len() as u32).to_le_bytes());
            elements.iter().try_for_each(|element| write_key(element, key))?;
        }
        Value::Json(_) | Value::Complex(..) => return None,
    }
    Some(())
}

/// Gives every row the entry at its position; texts become codes of a small dictionary instead of copies.
pub(super) fn spread(small: &Vector, positions: Vec<u32>) -> Vector {
    match small {
        Vector::String(values) => {
            let mut dictionary = crate::column::MemoryDictionary::new();
            let codes: Vec<u32> = values.iter().map(|value| dictionary.intern(value.as_deref())).collect();
            let codes = positions.into_iter().map(|position| codes[position as usize]).collect();
            Vector::Codes { dictionary: Arc::new(dictionary) as Arc<dyn Dictionary>, codes }
        }
        other => other.gather(&positions),
    }
}

fn call(call: &Call, node: &Node, batch: &Batch<'_>) -> Result<Operand> {
    let operands = call.args.iter().map(|arg| eval(arg, batch)).collect::<Result<Vec<_>>>()?;
    if operands.iter().all(|operand| matches!(operand, Operand::Constant(_))) {
        let values: Vec<Value> = operands.iter().map(|operand| operand.value(0)).collect();
        return Ok(Operand::Constant(call.callable.call(&values, batch.context)?));
    }
    if let Some(result) = call.callable.batch(&operands, batch.len)? {
        return Ok(Operand::Vector(Arc::new(result)));
    }
    distinct_or_rows(&operands, batch.len, batch.infer(node), &mut |values| call.callable.call(values, batch.context))
}

/// The truth of every row.
fn truths(operand: &Operand, len: usize) -> Vec<Option<bool>> {
    match operand {
        Operand::Constant(value) => vec![value.as_boolean(); len],
        Operand::Vector(vector) => match vector.as_ref() {
            Vector::Long { values, nulls: None } => values.iter().map(|value| Some(*value > 0)).collect(),
            Vector::Long { values, nulls: Some(nulls) } => {
                values.iter().zip(nulls).map(|(value, null)| (!null).then_some(*value > 0)).collect()
            }
            other => other.to_values().iter().map(Value::as_boolean).collect(),
        },
    }
}

/// Which rows are true.
fn trues(operand: &Operand, len: usize) -> Vec<bool> {
    match operand {
        Operand::Constant(value) => vec![value.as_boolean() == Some(true); len],
        Operand::Vector(vector) => match vector.as_ref() {
            Vector::Long { values, nulls: None } => values.iter().map(|value| *value > 0).collect(),
            Vector::Long { values, nulls: Some(nulls) } => {
                values.iter().zip(nulls).map(|(value, null)| *value > 0 && !null).collect()
            }
            other => other.to_values().iter().map(|value| value.as_boolean() == Some(true)).collect(),
        },
    }
}

fn logic(or: bool, left: &Node, right: &Node, batch: &Batch<'_>) -> Result<Operand> {
    let left = eval(left, batch)?;
    if let Operand::Constant(value) = &left
        && value.as_boolean() == Some(or)
    {
        return Ok(Operand::Constant(Value::Long(i64::from(or))));
    }
    let mut result = truths(&left, batch.len);
    // Only rows that the left side leaves open are asked the right side.
    let open: Vec<u32> = (0..batch.len as u32).filter(|row| result[*row as usize] != Some(or)).collect();
    let mut merge = |rows: &mut dyn Iterator<Item = usize>, right: Vec<Option<bool>>| {
        for (row, right) in rows.zip(right) {
            result[row] = eval::logic(or, result[row], right).as_boolean();
        }
    };
    if open.len() == batch.len {
        merge(&mut (0..batch.len), truths(&eval(right, batch)?, batch.len));
    } else if !open.is_empty() {
        let inner = batch.rows(&open);
        let right = truths(&eval(right, &inner)?, open.len());
        merge(&mut open.iter().map(|row| *row as usize), right);
    }
    let nulls: Vec<bool> = result.iter().map(Option::is_none).collect();
    let values = result.into_iter().map(|truth| i64::from(truth == Some(true))).collect();
    Ok(Operand::Vector(Arc::new(Vector::Long { values, nulls: nulls.contains(&true).then_some(nulls) })))
}

fn lazy(function: LazyFn, args: &[Node], node: &Node, batch: &Batch<'_>) -> Result<Operand> {
    let mut choice = Choice { pieces: Vec::new(), pending: (0..batch.len as u32).collect() };
    match function {
        LazyFn::If => {
            choice.branch(&args[0], &args[1], batch)?;
            choice.rest(&args[2], batch)?;
        }
        LazyFn::CaseSearched => {
            for pair in args.chunks(2) {
                match pair {
                    [condition, result] => choice.branch(condition, result, batch)?,
                    [otherwise] => choice.rest(otherwise, batch)?,
                    _ => {}
                }
            }
        }
        LazyFn::CaseSimple => {
            for pair in args[1..].chunks(2) {
                match pair {
                    [wanted, result] => {
                        let equal = Node::Binary(BinaryOp::Equal, Box::new(args[0].clone()), Box::new(wanted.clone()));
                        choice.branch(&equal, result, batch)?;
                    }
                    [otherwise] => choice.rest(otherwise, batch)?,
                    _ => {}
                }
            }
        }
        LazyFn::Coalesce | LazyFn::Nvl => {
            for arg in args {
                choice.first_value(arg, batch)?;
            }
        }
    }
    choice.assemble(batch.len, batch.infer(node))
}

/// Rows that have found their branch, with the branch's values, and rows that have not.
struct Choice {
    pieces: Vec<(Vec<u32>, Operand)>,
    pending: Vec<u32>,
}

impl Choice {
    /// Pending rows for which the condition is true take this result.
    fn branch(&mut self, condition: &Node, result: &Node, batch: &Batch<'_>) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let truth = self.on_pending(condition, batch)?;
        let is_true = trues(&truth, self.pending.len());
        let (mut rows, mut left) = (Vec::with_capacity(self.pending.len()), Vec::with_capacity(self.pending.len()));
        for (row, is_true) in self.pending.iter().zip(is_true) {
            if is_true { rows.push(*row) } else { left.push(*row) }
        }
        if !rows.is_empty() {
            let values = on_rows(result, &rows, batch)?;
            self.pieces.push((rows, values));
        }
        self.pending = left;
        Ok(())
    }

    /// All pending rows take this result.
    fn rest(&mut self, result: &Node, batch: &Batch<'_>) -> Result<()> {
        if !self.pending.is_empty() {
            let values = self.on_pending(result, batch)?;
            self.pieces.push((std::mem::take(&mut self.pending), values));
        }
        Ok(())
    }

    /// Pending rows for which this is not null take it.
    fn first_value(&mut self, arg: &Node, batch: &Batch<'_>) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let values = self.on_pending(arg, batch)?;
        let is_null = |position: usize| match &values {
            Operand::Constant(value) => value.is_null(),
            Operand::Vector(vector) => vector.is_null(position),
        };
        let positions: Vec<u32> = (0..self.pending.len() as u32).filter(|position| !is_null(*position as usize)).collect();
        if positions.len() == self.pending.len() {
            self.pieces.push((std::mem::take(&mut self.pending), values));
        } else if !positions.is_empty() {
            let rows = positions.iter().map(|position| self.pending[*position as usize]).collect();
            let left =
                (0..self.pending.len()).filter(|position| is_null(*position)).map(|position| self.pending[position]).collect();
            self.pieces.push((rows, values.gather(&positions)));
            self.pending = left;
        }
        Ok(())
    }

    fn on_pending(&self, node: &Node, batch: &Batch<'_>) -> Result<Operand> {
        on_rows(node, &self.pending, batch)
    }

    fn assemble(mut self, len: usize, column_type: Option<ColumnType>) -> Result<Operand> {
        if self.pieces.is_empty() {
            return Ok(Operand::Constant(Value::Null));
        }
        if self.pieces.len() == 1 && self.pending.is_empty() {
            let (_, operand) = self.pieces.remove(0);
            return Ok(match column_type {
                Some(column_type) => match operand {
                    Operand::Constant(value) => Operand::Constant(value.cast(&column_type)),
                    vector => Operand::Vector(Arc::new(vector.into_vector(len, Some(&column_type)))),
                },
                None => operand,
            });
        }
        let pieces: Vec<(&[u32], &Operand)> = self.pieces.iter().map(|(rows, operand)| (rows.as_slice(), operand)).collect();
        if let Some(result) = numbers::scatter(&pieces, len, column_type.as_ref()) {
            return Ok(Operand::Vector(Arc::new(result)));
        }
        if column_type == Some(ColumnType::String)
            && let Some(result) = numbers::scatter_texts(&pieces, len)?
        {
            return Ok(Operand::Vector(Arc::new(result)));
        }
        let mut values = vec![Value::Null; len];
        for (rows, operand) in pieces {
            match operand {
                Operand::Constant(value) => rows.iter().for_each(|row| values[*row as usize] = value.clone()),
                Operand::Vector(vector) => {
                    rows.iter().zip(vector.to_values()).for_each(|(row, value)| values[*row as usize] = value);
                }
            }
        }
        Ok(vector(values, column_type))
    }
}

fn on_rows(node: &Node, rows: &[u32], batch: &Batch<'_>) -> Result<Operand> {
    if rows.len() == batch.len {
        return eval(node, batch);
    }
    eval(node, &batch.rows(rows))
}
