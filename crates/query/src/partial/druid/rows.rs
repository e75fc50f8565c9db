//! Rows from the answers of scan.

use std::sync::Arc;

use ovate_base::Result;
use ovate_base::smile::SmileValue;
use ovate_compute::value::from_json;
use ovate_compute::{ColumnType, Value, Vector};

use super::{Elements, fields, unexpected};
use crate::document::ScanQuery;
use crate::partial::{Partial, ScanPartial};
use crate::result::{RowBatch, cell};
use crate::run::QueryContext;

/// Rows of a batch; servers send ordered rows one by one.
const BATCH_ROWS: usize = 4096;

/// Rows of one segment with the same columns.
struct Batch {
    segment: Arc<str>,
    names: Vec<Arc<str>>,
    types: Vec<Option<ColumnType>>,
    columns: Vec<Vec<Value>>,
    rows: usize,
}

impl Batch {
    fn into_partial(self) -> ScanPartial {
        let vector = |(kind, values): (&Option<ColumnType>, Vec<Value>)| match kind {
            Some(kind) => Vector::from_values(kind, values),
            None => Vector::from_untyped(values),
        };
        let columns: Vec<Vector> = self.types.iter().zip(self.columns).map(vector).collect();
        let typed = |(kind, column): (Option<ColumnType>, &Vector)| kind.or_else(|| column.column_type());
        let types: Vec<_> = self.types.into_iter().zip(&columns).map(typed).collect();
        let signature = self.names.into_iter().zip(types).collect();
        ScanPartial { signature, batches: vec![(self.segment, RowBatch { columns, rows: self.rows })] }
    }
}

/// All rows, in the order sent.
pub(super) fn scan(query: &ScanQuery, elements: &mut Elements<'_>, context: &QueryContext) -> Result<Vec<Partial>> {
    let mut all: Option<ScanPartial> = None;
    let mut open: Option<Batch> = None;
    let add = |all: &mut Option<ScanPartial>, batch: Batch| match all {
        Some(all) => all.append(batch.into_partial()),
        None => *all = Some(batch.into_partial()),
    };
    while let Some(element) = elements.next()? {
        context.check()?;
        let (next, events) = head(query, element)?;
        if let Some(batch) = open.take_if(|b| b.segment != next.segment || b.names != next.names || b.rows >= BATCH_ROWS) {
            add(&mut all, batch);
        }
        let batch = open.get_or_insert(next);
        events.into_iter().try_for_each(|event| add_event(batch, event))?;
    }
    if let Some(batch) = open {
        add(&mut all, batch);
    }
    Ok(all.map(Partial::Scan).into_iter().collect())
}

/// Columns and types of an element, and its rows.
fn head(query: &ScanQuery, element: SmileValue) -> Result<(Batch, Vec<SmileValue>)> {
    let (mut segment, mut names, mut rows) = (Arc::from(""), Vec::new(), Vec::new());
    let mut typed: Vec<(String, Option<ColumnType>)> = Vec::new();
    for (name, value) in fields(element)? {
        match (name.as_ref(), value) {
            ("segmentId", SmileValue::Text(id)) => segment = Arc::from(id),
            ("columns", SmileValue::Array(list)) => {
                for item in list {
                    let SmileValue::Text(name) = item else { return Err(unexpected("a column without a name")) };
                    names.push(Arc::from(name));
                }
            }
            ("events", SmileValue::Array(events)) => rows = events,
            ("rowSignature", SmileValue::Array(signature)) => {
                for item in signature {
                    let (Some(SmileValue::Text(name)), kind) = (item.get("name"), item.get("type")) else { continue };
                    let kind = match kind {
                        Some(SmileValue::Text(kind)) => Some(ColumnType::parse(kind)?),
                        _ => None,
                    };
                    typed.push((name.clone(), kind));
                }
            }
            _ => {}
        }
    }
    let asked = |name: &str| {
        let at = query.columns.iter().position(|column| column == name)?;
        query.column_types.as_ref().and_then(|types| types.get(at)).cloned()
    };
    let kind = |name: &Arc<str>| {
        let told = typed.iter().find(|(known, _)| **known == **name).and_then(|(_, kind)| kind.clone());
        told.or_else(|| asked(name)).or_else(|| (name.as_ref() == "__time").then_some(ColumnType::Long))
    };
    let types = names.iter().map(kind).collect();
    let columns = names.iter().map(|_| Vec::new()).collect();
    Ok((Batch { segment, names, types, columns, rows: 0 }, rows))
}

fn add_event(batch: &mut Batch, event: SmileValue) -> Result<()> {
    let read = |kind: &Option<ColumnType>, value: SmileValue| match kind {
        Some(kind) => cell::read(kind, value),
        None => Ok(from_json(&value.to_json())),
    };
    match event {
        SmileValue::Array(items) if items.len() == batch.names.len() => {
            for ((column, kind), item) in batch.columns.iter_mut().zip(&batch.types).zip(items) {
                column.push(read(kind, item)?);
            }
        }
        SmileValue::Object(fields) => {
            for (name, value) in fields {
                if let Some(at) = batch.names.iter().position(|known| *known == name) {
                    batch.columns[at].truncate(batch.rows);
                    batch.columns[at].push(read(&batch.types[at], value)?);
                }
            }
            batch.columns.iter_mut().for_each(|column| column.resize(batch.rows + 1, Value::Null));
        }
        _ => return Err(unexpected("an event of a wrong shape")),
    }
    batch.rows += 1;
    Ok(())
}
