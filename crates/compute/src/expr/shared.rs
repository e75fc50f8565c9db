//! Subexpressions that several expressions of one filter have in common: evaluated once on the rows of a batch, remembered,
//! and taken from there by the expressions that follow, which see the same rows or some of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::Expr;
use super::batch::Operand;
use super::node::{Call, Node};

/// What a filter's expressions repeat; belongs to one thread's binding.
#[derive(Default)]
pub struct Shared {
    slots: HashMap<Box<str>, Arc<Slot>>,
    /// Columns that several expressions read.
    columns: HashMap<Box<str>, Arc<Slot>>,
}

/// The last result of one subexpression.
#[derive(Default)]
pub(super) struct Slot {
    last: Mutex<Option<(Arc<[u32]>, Operand)>>,
}

impl Shared {
    /// Finds what is repeated in these expressions. Volatile parts and bodies of lambdas are left alone.
    pub fn of<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> Shared {
        let (mut parts, mut columns) = (HashMap::new(), HashMap::new());
        for expression in expressions {
            count(&expression.inner.node, &mut parts);
            expression.inner.columns.iter().for_each(|name| *columns.entry(Box::from(name.as_ref())).or_default() += 1);
        }
        let repeated = |counts: HashMap<Box<str>, usize>| {
            counts.into_iter().filter(|(_, count)| *count > 1).map(|(text, _)| (text, Arc::default())).collect()
        };
        Shared { slots: repeated(parts), columns: repeated(columns) }
    }

    /// True when nothing is repeated.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.columns.is_empty()
    }

    /// Where what was read of a column is remembered.
    pub(super) fn column(&self, name: &str) -> Option<Arc<Slot>> {
        self.columns.get(name).cloned()
    }

    /// The tree with its repeated parts marked.
    pub(super) fn mark(&self, node: &Node) -> Node {
        let boxed = |node: &Node| Box::new(self.mark(node));
        let all = |args: &[Node]| args.iter().map(|arg| self.mark(arg)).collect();
        let marked = match node {
            Node::Literal(_) | Node::Column(_) | Node::Shared { .. } => return node.clone(),
            Node::Unary(op, child) => Node::Unary(*op, boxed(child)),
            Node::Binary(op, left, right) => Node::Binary(*op, boxed(left), boxed(right)),
            Node::Logic { or, left, right } => Node::Logic { or: *or, left: boxed(left), right: boxed(right) },
            Node::Lazy(function, args) => Node::Lazy(*function, all(args)),
            Node::Call(call) => Node::Call(Call { args: all(&call.args), ..call.clone() }),
            Node::Apply { function, lambda, args } => {
                Node::Apply { function: *function, lambda: lambda.clone(), args: all(args) }
            }
        };
        match self.slots.get(node.to_string().as_str()) {
            Some(slot) => Node::Shared { slot: slot.clone(), node: Box::new(marked) },
            None => marked,
        }
    }
}

/// Counts every part that is more than a name or a constant.
fn count(node: &Node, counts: &mut HashMap<Box<str>, usize>) {
    if matches!(node, Node::Literal(_) | Node::Column(_)) {
        return;
    }
    if !node.is_volatile() {
        *counts.entry(node.to_string().into_boxed_str()).or_default() += 1;
    }
    node.children().into_iter().for_each(|child| count(child, counts));
}

impl Slot {
    /// The remembered result for these rows, when it is there for all of them.
    pub(super) fn recall(&self, rows: &Arc<[u32]>) -> Option<Operand> {
        let last = self.last();
        let (known, operand) = last.as_ref()?;
        if Arc::ptr_eq(known, rows) || known == rows {
            return Some(operand.clone());
        }
        positions(known, rows).map(|positions| operand.gather(&positions))
    }

    pub(super) fn remember(&self, rows: &Arc<[u32]>, operand: &Operand) {
        *self.last() = Some((rows.clone(), operand.clone()));
    }

    fn last(&self) -> MutexGuard<'_, Option<(Arc<[u32]>, Operand)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where each of some ascending rows stands among others; `None` when one is missing.
fn positions(known: &[u32], rows: &[u32]) -> Option<Vec<u32>> {
    if rows.len() > known.len() || rows.first()? < known.first()? || rows.last()? > known.last()? {
        return None;
    }
    let mut at = 0;
    rows.iter()
        .map(|row| {
            at += known[at..].iter().position(|own| own >= row)?;
            (known[at] == *row).then_some(at as u32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_found_and_what_changes_by_itself_is_not() {
        let parse = |text: &str| Expr::parse(text).expect("an expression");
        let (a, b) = (parse("concat('1', upper(x)) == 'A'"), parse("concat('1', upper(x)) != concat('2', upper(x))"));
        let shared = Shared::of([&a, &b]);
        let mut found: Vec<&str> = shared.slots.keys().map(|text| text.as_ref()).collect();
        found.sort_unstable();
        assert_eq!(found, [r#"concat('1', upper("x"))"#, r#"upper("x")"#]);
        assert!(Shared::of([&a]).is_empty());
        assert!(shared.column("x").is_some());
    }

    #[test]
    fn rows_are_found_among_others() {
        assert_eq!(positions(&[3, 5, 8, 9], &[5, 9]), Some(vec![1, 3]));
        assert_eq!(positions(&[3, 5, 8, 9], &[3, 6]), None);
        assert_eq!(positions(&[3, 5], &[6]), None);
        assert_eq!(positions(&[], &[6]), None);
    }
}
