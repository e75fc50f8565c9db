//! Collects the relations that one native query can do (`PartialDruidQuery`): filter, project, aggregate, having, project,
//! sort and limit over one base, in that order; what does not fit begins a new query over the first one's rows.

use std::sync::Arc;

use crate::plan::{AggregateCall, Rel, RelKind, Rex};
use crate::types::Field;

/// What a stage reads.
#[derive(Debug, Clone)]
pub enum Base {
    Table(Vec<String>),
    /// Rows of another stage.
    Stage(Box<Stage>),
    /// Anything that is no native query.
    Rel(Rel),
}

/// One native query's worth of work. All expressions below `aggregate` are over the base's columns, those after it over
/// keys and aggregates.
#[derive(Debug, Clone)]
pub struct Stage {
    pub base: Base,
    pub base_fields: Arc<[Field]>,
    pub filters: Vec<Rex>,
    /// Output columns: over the base, or over keys and aggregates.
    pub output: Vec<Rex>,
    pub aggregate: Option<Grouping>,
    pub having: Vec<Rex>,
    pub sort: Option<Order>,
    pub fields: Arc<[Field]>,
}

/// GROUP BY of a stage.
#[derive(Debug, Clone)]
pub struct Grouping {
    pub keys: Vec<Rex>,
    pub sets: Vec<Vec<usize>>,
    pub calls: Vec<AggregateCall>,
}

/// ORDER BY and LIMIT of a stage: expression, descending, nulls first.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub keys: Vec<(Rex, bool, bool)>,
    pub offset: u64,
    pub limit: Option<u64>,
}

impl Stage {
    /// The stages of a relation.
    pub fn of(rel: &Rel) -> Stage {
        match &rel.kind {
            RelKind::Table { names } => Stage::new(Base::Table(names.clone()), rel.fields.clone()),
            RelKind::Filter { input, .. }
            | RelKind::Project { input, .. }
            | RelKind::Aggregate { input, .. }
            | RelKind::Sort { input, .. } => {
                let stage = Stage::of(input);
                match stage.accept(rel) {
                    Ok(stage) => stage,
                    Err(stage) => {
                        let fields = stage.fields.clone();
                        let outer = Stage::new(Base::Stage(stage), fields);
                        match outer.accept(rel) {
                            Ok(stage) => stage,
                            Err(stage) => *stage,
                        }
                    }
                }
            }
            _ => Stage::new(Base::Rel(rel.clone()), rel.fields.clone()),
        }
    }

    fn new(base: Base, fields: Arc<[Field]>) -> Stage {
        let output = fields.iter().enumerate().map(|(i, f)| Rex::Input(i, f.sql_type.clone())).collect();
        Stage {
            base,
            base_fields: fields.clone(),
            filters: Vec::new(),
            output,
            aggregate: None,
            having: Vec::new(),
            sort: None,
            fields,
        }
    }

    /// True when rows pass through unchanged in number and order.
    pub fn is_plain(&self) -> bool {
        self.filters.is_empty() && self.aggregate.is_none() && self.having.is_empty() && self.sort.is_none()
    }

    fn over_output(&self, rex: &Rex) -> Rex {
        rex.clone().with_inputs(&|index| self.output[index].clone())
    }

    fn limited(&self) -> bool {
        self.sort.as_ref().is_some_and(|s| s.limit.is_some() || s.offset > 0)
    }

    /// Adds one relation on top, or gives the stage back.
    fn accept(mut self, rel: &Rel) -> Result<Stage, Box<Stage>> {
        match &rel.kind {
            RelKind::Filter { condition, .. } => {
                if self.limited() {
                    return Err(Box::new(self));
                }
                let condition = self.over_output(condition);
                let target = if self.aggregate.is_some() { &mut self.having } else { &mut self.filters };
                condition.conjuncts(target);
            }
            RelKind::Project { exprs, .. } => {
                self.output = exprs.iter().map(|rex| self.over_output(rex)).collect();
            }
            RelKind::Aggregate { keys, sets, aggregates, .. } => {
                if self.aggregate.is_some() || self.limited() {
                    return Err(Box::new(self));
                }
                let over = |list: &[Rex]| -> Vec<Rex> { list.iter().map(|rex| self.over_output(rex)).collect() };
                let keys = over(keys);
                let calls: Vec<AggregateCall> = aggregates
                    .iter()
                    .map(|call| AggregateCall {
                        args: over(&call.args),
                        filter: call.filter.as_ref().map(|rex| self.over_output(rex)),
                        ..call.clone()
                    })
                    .collect();
                self.sort = None;
                self.output = keys
                    .iter()
                    .map(|key| key.sql_type().clone())
                    .chain(calls.iter().map(|call| call.sql_type.clone()))
                    .enumerate()
                    .map(|(i, t)| Rex::Input(i, t))
                    .collect();
                self.aggregate = Some(Grouping { keys, sets: sets.clone(), calls });
            }
            RelKind::Sort { keys, offset, limit, .. } => {
                let keys: Vec<(Rex, bool, bool)> =
                    keys.iter().map(|key| (self.output[key.column].clone(), key.descending, key.nulls_first)).collect();
                match &mut self.sort {
                    None => self.sort = Some(Order { keys, offset: *offset, limit: *limit }),
                    Some(order) if order.limit.is_none() && order.offset == 0 && !keys.is_empty() => {
                        *order = Order { keys, offset: *offset, limit: *limit };
                    }
                    Some(order) if keys.is_empty() => {
                        let left = order.limit.map(|l| l.saturating_sub(*offset));
                        order.offset += offset;
                        order.limit = match (left, limit) {
                            (Some(a), Some(b)) => Some(a.min(*b)),
                            (a, b) => a.or(*b),
                        };
                    }
                    Some(_) => return Err(Box::new(self)),
                }
            }
            _ => return Err(Box::new(self)),
        }
        self.fields = rel.fields.clone();
        Ok(self)
    }
}
