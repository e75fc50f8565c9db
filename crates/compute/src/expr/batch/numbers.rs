//! Loops over numbers: arithmetic, comparisons, and putting the branches of a choice together.

use std::sync::Arc;

use ovate_base::Result;

use super::Operand;
use crate::column::MemoryDictionary;
use crate::expr::eval::{double_op, long_op};
use crate::expr::node::{BinaryOp, UnaryOp};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// One side of an operator.
#[derive(Clone, Copy)]
enum Side<'a> {
    Longs(&'a [i64], Option<&'a [bool]>),
    Doubles(&'a [f64], Option<&'a [bool]>),
    Long(i64),
    Double(f64),
}

impl<'a> Side<'a> {
    fn of(operand: &'a Operand) -> Option<Side<'a>> {
        Some(match operand {
            Operand::Constant(Value::Long(value)) => Side::Long(*value),
            Operand::Constant(Value::Double(value)) => Side::Double(*value),
            Operand::Constant(_) => return None,
            Operand::Vector(vector) => match vector.as_ref() {
                Vector::Long { values, nulls } => Side::Longs(values, nulls.as_deref()),
                Vector::Double { values, nulls } => Side::Doubles(values, nulls.as_deref()),
                _ => return None,
            },
        })
    }

    fn is_long(&self) -> bool {
        matches!(self, Side::Longs(..) | Side::Long(_))
    }

    fn nulls(&self) -> Option<&'a [bool]> {
        match self {
            Side::Longs(_, nulls) | Side::Doubles(_, nulls) => *nulls,
            Side::Long(_) | Side::Double(_) => None,
        }
    }

    /// Calls `use_it` with the side as doubles by row.
    fn doubles(&self, len: usize) -> std::borrow::Cow<'a, [f64]> {
        match self {
            Side::Doubles(values, _) => std::borrow::Cow::Borrowed(values),
            Side::Longs(values, _) => values.iter().map(|value| *value as f64).collect(),
            Side::Long(value) => vec![*value as f64; len].into(),
            Side::Double(value) => vec![*value; len].into(),
        }
    }
}

fn either_null(a: Option<&[bool]>, b: Option<&[bool]>) -> Option<Vec<bool>> {
    match (a, b) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one.to_vec()),
        (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| a | b).collect()),
    }
}

/// `-` and `!` on numbers.
pub(super) fn unary(op: UnaryOp, vector: &Vector) -> Option<Vector> {
    Some(match (op, vector) {
        (UnaryOp::Minus, Vector::Long { values, nulls }) => {
            Vector::Long { values: values.iter().map(|v| v.wrapping_neg()).collect(), nulls: nulls.clone() }
        }
        (UnaryOp::Minus, Vector::Double { values, nulls }) => {
            Vector::Double { values: values.iter().map(|v| -v).collect(), nulls: nulls.clone() }
        }
        (UnaryOp::Not, Vector::Long { values, nulls }) => {
            Vector::Long { values: values.iter().map(|v| i64::from(*v <= 0)).collect(), nulls: nulls.clone() }
        }
        _ => return None,
    })
}

/// A binary operator where both sides are numbers; `None`: not numbers.
pub(super) fn binary(op: BinaryOp, left: &Operand, right: &Operand, len: usize) -> Result<Option<Vector>> {
    let (Some(left), Some(right)) = (Side::of(left), Side::of(right)) else { return Ok(None) };
    let nulls = either_null(left.nulls(), right.nulls());
    if left.is_long() && right.is_long() {
        // One loop an operator, so that none decides per row what it does.
        let values = match op {
            BinaryOp::Add => long_loop(&left, &right, i64::wrapping_add),
            BinaryOp::Subtract => long_loop(&left, &right, i64::wrapping_sub),
            BinaryOp::Multiply => long_loop(&left, &right, i64::wrapping_mul),
            BinaryOp::Less => long_loop(&left, &right, |a, b| i64::from(a < b)),
            BinaryOp::LessEqual => long_loop(&left, &right, |a, b| i64::from(a <= b)),
            BinaryOp::Greater => long_loop(&left, &right, |a, b| i64::from(a > b)),
            BinaryOp::GreaterEqual => long_loop(&left, &right, |a, b| i64::from(a >= b)),
            BinaryOp::Equal => long_loop(&left, &right, |a, b| i64::from(a == b)),
            BinaryOp::NotEqual => long_loop(&left, &right, |a, b| i64::from(a != b)),
            BinaryOp::Divide | BinaryOp::Modulo | BinaryOp::Power => return checked(op, &left, &right, nulls, len).map(Some),
        };
        return Ok(Some(Vector::Long { values, nulls }));
    }
    let (a, b) = (left.doubles(len), right.doubles(len));
    let pairs = a.iter().zip(b.iter());
    if op.is_comparison() {
        let values: Vec<i64> = match op {
            BinaryOp::Less => pairs.map(|(a, b)| i64::from(a < b)).collect(),
            BinaryOp::LessEqual => pairs.map(|(a, b)| i64::from(a <= b)).collect(),
            BinaryOp::Greater => pairs.map(|(a, b)| i64::from(a > b)).collect(),
            BinaryOp::GreaterEqual => pairs.map(|(a, b)| i64::from(a >= b)).collect(),
            BinaryOp::Equal => pairs.map(|(a, b)| i64::from(a == b)).collect(),
            _ => pairs.map(|(a, b)| i64::from(a != b)).collect(),
        };
        return Ok(Some(Vector::Long { values, nulls }));
    }
    let values = match op {
        BinaryOp::Add => pairs.map(|(a, b)| a + b).collect(),
        BinaryOp::Subtract => pairs.map(|(a, b)| a - b).collect(),
        BinaryOp::Multiply => pairs.map(|(a, b)| a * b).collect(),
        BinaryOp::Divide => pairs.map(|(a, b)| a / b).collect(),
        _ => pairs.map(|(a, b)| double_op(op, *a, *b)).collect(),
    };
    Ok(Some(Vector::Double { values, nulls }))
}

fn long_loop(left: &Side<'_>, right: &Side<'_>, op: impl Fn(i64, i64) -> i64) -> Vec<i64> {
    match (left, right) {
        (Side::Longs(a, _), Side::Longs(b, _)) => a.iter().zip(*b).map(|(a, b)| op(*a, *b)).collect(),
        (Side::Longs(a, _), Side::Long(b)) => a.iter().map(|a| op(*a, *b)).collect(),
        (Side::Long(a), Side::Longs(b, _)) => b.iter().map(|b| op(*a, *b)).collect(),
        _ => Vec::new(),
    }
}

/// Division, modulo and powers of longs, which may fail; rows that are null do not.
fn checked(op: BinaryOp, left: &Side<'_>, right: &Side<'_>, nulls: Option<Vec<bool>>, len: usize) -> Result<Vector> {
    let at = |side: &Side<'_>, row: usize| match side {
        Side::Longs(values, _) => values[row],
        Side::Long(value) => *value,
        Side::Doubles(..) | Side::Double(_) => 0,
    };
    let mut values = Vec::with_capacity(len);
    for row in 0..len {
        let null = nulls.as_ref().is_some_and(|nulls| nulls[row]);
        values.push(if null { 0 } else { long_op(op, at(left, row), at(right, row))? });
    }
    Ok(Vector::Long { values, nulls })
}

/// Puts pieces of numbers to their rows; rows of no piece are null. `None`: not all pieces are numbers.
pub(super) fn scatter(pieces: &[(&[u32], &Operand)], len: usize, column_type: Option<&ColumnType>) -> Option<Vector> {
    let mut nulls = vec![true; len];
    let is_null = |side: &Option<Side<'_>>, position: usize| match side {
        Some(side) => side.nulls().is_some_and(|nulls| nulls[position]),
        None => true,
    };
    let sides: Vec<Option<Side<'_>>> = pieces
        .iter()
        .map(|(_, operand)| match operand {
            Operand::Constant(Value::Null) => Some(None),
            operand => Side::of(operand).map(Some),
        })
        .collect::<Option<_>>()?;
    match column_type {
        Some(ColumnType::Long) if sides.iter().flatten().all(Side::is_long) => {
            let mut values = vec![0; len];
            for ((rows, _), side) in pieces.iter().zip(&sides) {
                for (position, row) in rows.iter().enumerate() {
                    nulls[*row as usize] = is_null(side, position);
                    values[*row as usize] = match side {
                        Some(Side::Longs(own, _)) => own[position],
                        Some(Side::Long(own)) => *own,
                        _ => 0,
                    };
                }
            }
            Some(Vector::Long { values, nulls: nulls.contains(&true).then_some(nulls) })
        }
        Some(ColumnType::Double) => {
            let mut values = vec![0.0; len];
            for ((rows, _), side) in pieces.iter().zip(&sides) {
                for (position, row) in rows.iter().enumerate() {
                    nulls[*row as usize] = is_null(side, position);
                    values[*row as usize] = match side {
                        Some(Side::Longs(own, _)) => own[position] as f64,
                        Some(Side::Doubles(own, _)) => own[position],
                        Some(Side::Long(own)) => *own as f64,
                        Some(Side::Double(own)) => *own,
                        None => 0.0,
                    };
                }
            }
            Some(Vector::Double { values, nulls: nulls.contains(&true).then_some(nulls) })
        }
        _ => None,
    }
}

/// Puts pieces of texts to their rows as codes of a small dictionary. `None`: not all pieces are single texts.
pub(super) fn scatter_texts(pieces: &[(&[u32], &Operand)], len: usize) -> Result<Option<Vector>> {
    let mut dictionary = MemoryDictionary::new();
    let mut codes = vec![u32::MAX; len];
    for (rows, operand) in pieces {
        match operand {
            Operand::Constant(value) => {
                if matches!(value, Value::Array(_)) {
                    return Ok(None);
                }
                let code = dictionary.intern(value.as_text().as_deref());
                rows.iter().for_each(|row| codes[*row as usize] = code);
            }
            Operand::Vector(vector) => match vector.as_ref() {
                Vector::Codes { dictionary: own, codes: own_codes } => {
                    let (distinct, positions) = super::distinct_codes(own_codes);
                    let mut mapping = Vec::with_capacity(distinct.len());
                    for code in distinct {
                        mapping.push(dictionary.intern(own.get(code)?.as_deref()));
                    }
                    rows.iter().zip(positions).for_each(|(row, position)| codes[*row as usize] = mapping[position as usize]);
                }
                Vector::String(texts) => {
                    rows.iter().zip(texts).for_each(|(row, text)| codes[*row as usize] = dictionary.intern(text.as_deref()));
                }
                _ => return Ok(None),
            },
        }
    }
    if codes.contains(&u32::MAX) {
        let null = dictionary.intern(None);
        codes.iter_mut().filter(|code| **code == u32::MAX).for_each(|code| *code = null);
    }
    Ok(Some(Vector::Codes { dictionary: Arc::new(dictionary), codes }))
}
