//! Expressions bound to the columns of a source. One over a single dictionary column is evaluated once an entry, one over a
//! multi-value column once a distinct row.

use std::sync::Arc;

use hashbrown::HashMap;
use ovate_base::Result;

use super::batch::{self, Batch, Operand, distinct_codes, distinct_rows, spread};
use super::infer;
use super::multi;
use super::node::Node;
use super::shared::{Shared, Slot};
use crate::column::convert::VectorReader;
use crate::column::{ColumnReader, ColumnSource, Dictionary, Rows};
use crate::context::EvalContext;
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// Dictionaries up to this size are evaluated whole at the first batch; larger ones by the codes of each batch.
const WHOLE_DICTIONARY_MAX: u32 = 200_000;

/// An expression bound to the columns of a source; belongs to one thread.
pub struct BoundExpr {
    node: Node,
    input: Input,
    context: EvalContext,
    output_type: Option<ColumnType>,
}

enum Input {
    /// `sharing`: parts of the tree are remembered by the rows of a batch. `repeats`: equal rows have equal results, and
    /// working them out costs more than finding them.
    Columns {
        readers: Vec<InputColumn>,
        sharing: bool,
        repeats: bool,
    },
    Coded(Coded),
    MultiCoded(MultiCoded),
}

/// A column that is read as a vector.
struct InputColumn {
    name: Arc<str>,
    reader: VectorReader,
    /// Where other expressions of the filter find what was read.
    slot: Option<Arc<Slot>>,
}

impl InputColumn {
    fn read(&mut self, rows: &Rows<'_>, ids: Option<&Arc<[u32]>>) -> Result<Operand> {
        let Some((slot, ids)) = self.slot.as_ref().zip(ids) else { return Ok(input_operand(self.reader.read(rows.clone())?)) };
        if let Some(known) = slot.recall(ids) {
            return Ok(known);
        }
        let operand = input_operand(self.reader.read(rows.clone())?);
        slot.remember(ids, &operand);
        Ok(operand)
    }
}

/// The one column of the expression, whose rows hold several values: evaluated once a distinct row of each batch.
struct MultiCoded {
    name: Arc<str>,
    reader: Box<dyn ColumnReader>,
    dictionary: Arc<dyn Dictionary>,
    /// Texts of codes that were met.
    texts: HashMap<u32, Value>,
}

/// The one column of the expression.
struct Coded {
    name: Arc<str>,
    reader: Box<dyn ColumnReader>,
    dictionary: Arc<dyn Dictionary>,
    /// The result for each code, once it is known for all.
    results: Option<Vector>,
    whole: bool,
}

impl BoundExpr {
    pub(super) fn new(
        node: &Node,
        names: &[Arc<str>],
        source: &Arc<dyn ColumnSource>,
        context: &EvalContext,
        shared: Option<&Shared>,
    ) -> Result<Self> {
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            columns.push((name.clone(), source.column(name)?));
        }
        let find = |name: &str| columns.iter().find(|(own, _)| own.as_ref() == name).and_then(|(_, column)| column.as_ref());
        let is_multi = |name: &str| {
            find(name).is_some_and(|c| {
                let capabilities = c.capabilities();
                capabilities.multi_value && capabilities.column_type == ColumnType::String
            })
        };
        let node = multi::apply(node, &is_multi)?;
        let output_type = infer::output_type(&node, &|name| find(name).map(|c| c.capabilities().column_type));
        if let [(name, Some(column))] = columns.as_slice() {
            let capabilities = column.capabilities();
            let single = capabilities.column_type == ColumnType::String && capabilities.dictionary && !capabilities.multi_value;
            let multi = capabilities.column_type == ColumnType::String && capabilities.dictionary && capabilities.multi_value;
            if let (true, Some(dictionary)) = (multi && !matches!(node, Node::Column(_)), column.dictionary()) {
                let reader = column.reader()?;
                let input = Input::MultiCoded(MultiCoded { name: name.clone(), reader, dictionary, texts: HashMap::new() });
                return Ok(BoundExpr { node, input, context: context.clone(), output_type });
            }
            if let (true, Some(dictionary)) = (single && !matches!(node, Node::Column(_)), column.dictionary()) {
                let whole = dictionary.cardinality() <= WHOLE_DICTIONARY_MAX;
                let reader = column.reader()?;
                let input = Input::Coded(Coded { name: name.clone(), reader, dictionary, results: None, whole });
                return Ok(BoundExpr { node, input, context: context.clone(), output_type });
            }
        }
        let mut readers = Vec::with_capacity(columns.len());
        for (name, column) in &columns {
            // What is neither numbers nor codes costs more to read than to remember.
            let costly = column.as_ref().is_some_and(|column| {
                let capabilities = column.capabilities();
                !capabilities.column_type.is_numeric() && !capabilities.dictionary
            });
            let slot = shared.filter(|_| costly).and_then(|shared| shared.column(name));
            readers.push(InputColumn { name: name.clone(), reader: VectorReader::open(column.as_ref())?, slot });
        }
        let sharing = shared.is_some();
        let node = match shared {
            Some(shared) => shared.mark(&node),
            None => node,
        };
        let repeats = !matches!(node, Node::Column(_)) && !node.is_volatile();
        Ok(BoundExpr { node, input: Input::Columns { readers, sharing, repeats }, context: context.clone(), output_type })
    }

    /// The type of the results, `None` when it cannot be known before rows are seen.
    pub fn output_type(&self) -> Option<ColumnType> {
        self.output_type.clone()
    }

    /// Evaluates on rows of the bound source.
    pub fn eval(&mut self, rows: Rows<'_>) -> Result<Vector> {
        let BoundExpr { node, input, context, output_type } = self;
        let len = rows.len();
        match input {
            Input::Columns { readers, sharing, repeats } => {
                let mut columns = Vec::with_capacity(readers.len());
                let ids = sharing.then(|| row_ids(&rows));
                for column in readers {
                    columns.push((column.name.clone(), column.read(&rows, ids.as_ref())?));
                }
                if let ([(_, Operand::Vector(own))], true) = (columns.as_slice(), *repeats)
                    && let Some((distinct, positions)) = distinct_rows(own)
                {
                    let (name, len) = (columns[0].0.clone(), distinct.len());
                    let batch = Batch::new(vec![(name, Operand::Vector(Arc::new(distinct)))], len, context);
                    return Ok(spread(&batch::eval(node, &batch)?.into_vector(len, output_type.as_ref()), positions));
                }
                let mut batch = Batch::new(columns, len, context);
                if let Some(ids) = ids {
                    batch.name_rows(ids);
                }
                Ok(batch::eval(node, &batch)?.into_vector(len, output_type.as_ref()))
            }
            Input::Coded(coded) => coded.eval(rows, node, context, output_type.as_ref()),
            Input::MultiCoded(coded) => coded.eval(rows, node, context, output_type.as_ref()),
        }
    }
}

impl Coded {
    fn eval(&mut self, rows: Rows<'_>, node: &Node, context: &EvalContext, output_type: Option<&ColumnType>) -> Result<Vector> {
        let Coded { name, reader, dictionary, results, whole } = self;
        let on_codes = |codes: Vec<u32>| -> Result<Vector> {
            let len = codes.len();
            let column = Operand::Vector(Arc::new(Vector::Codes { dictionary: dictionary.clone(), codes }));
            let batch = Batch::new(vec![(name.clone(), column)], len, context);
            Ok(batch::eval(node, &batch)?.into_vector(len, output_type))
        };
        if results.is_none() && *whole {
            // A value that no selected row has may fail; then only the values of each batch are asked.
            match on_codes((0..dictionary.cardinality()).collect()) {
                Ok(vector) => *results = Some(spread(&vector, (0..vector.len() as u32).collect())),
                Err(_) => *whole = false,
            }
        }
        let codes = reader.codes(rows)?;
        if let Some(results) = results {
            return Ok(results.gather(codes));
        }
        let (distinct, positions) = distinct_codes(codes);
        Ok(spread(&on_codes(distinct)?, positions))
    }
}

impl MultiCoded {
    fn eval(&mut self, rows: Rows<'_>, node: &Node, context: &EvalContext, output_type: Option<&ColumnType>) -> Result<Vector> {
        let MultiCoded { name, reader, dictionary, texts } = self;
        let multi = reader.multi_codes(rows)?;
        let keys: Vec<&[u32]> = multi.offsets.windows(2).map(|pair| &multi.codes[pair[0] as usize..pair[1] as usize]).collect();
        let (distinct, positions) = distinct_codes(&keys);
        let mut text = |code: &u32| -> Result<Value> {
            if let Some(known) = texts.get(code) {
                return Ok(known.clone());
            }
            let value = dictionary.get(*code)?.map_or(Value::Null, |text| Value::from(text.as_ref()));
            texts.insert(*code, value.clone());
            Ok(value)
        };
        let mut values = Vec::with_capacity(distinct.len());
        for codes in distinct {
            values.push(match codes {
                [] => Value::Null,
                [one] => text(one)?,
                many => Value::Array(many.iter().map(&mut text).collect::<Result<_>>()?),
            });
        }
        let len = values.len();
        let column = Operand::Vector(Arc::new(Vector::Any { column_type: ColumnType::String, values }));
        let batch = Batch::new(vec![(name.clone(), column)], len, context);
        Ok(spread(&batch::eval(node, &batch)?.into_vector(len, output_type), positions))
    }
}

/// Numbers of the rows, one by one.
fn row_ids(rows: &Rows<'_>) -> Arc<[u32]> {
    match rows {
        Rows::Range(range) => range.clone().collect(),
        Rows::Ids(ids) => Arc::from(*ids),
    }
}

/// A column's vector as the language sees it: no FLOAT.
pub(super) fn input_operand(vector: Vector) -> Operand {
    Operand::Vector(Arc::new(match vector {
        float @ Vector::Float { .. } => float.cast(&ColumnType::Double),
        other => other,
    }))
}
