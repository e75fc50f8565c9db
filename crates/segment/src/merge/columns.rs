//! The columns of a merged segment: dimensions by kind, metrics copied or combined. Everything is scattered to the output
//! rows that [`RowOrder`] gives; equal rows that share one carry equal dimensions.

use std::ops::Range;
use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::{Column, ColumnReader, ColumnSource, ColumnType, Rows, Value, Vector};

use super::blocks;
use super::order::RowOrder;
use super::strings::{StringInput, StringMerge};
use crate::incremental::batch::{InputColumn, Selection};
use crate::incremental::dimension::{AutoStore, NumberKind, read_number};
use crate::incremental::metric::MetricColumn;
use crate::incremental::{DimensionKind, DimensionSchema};
use crate::packed::compare_packed;
use crate::write::data::{AutoColumn, ByteTable, CodeRows, ColumnData, ComplexColumn, NumberColumn};

/// A dimension over all inputs, ready to be ordered by and to be written.
pub(crate) enum DimensionMerge {
    String(StringMerge),
    Long(Vec<Option<Arc<dyn Column>>>),
    Float(Vec<Option<Arc<dyn Column>>>),
    Double(Vec<Option<Arc<dyn Column>>>),
    Auto(Box<AutoMerge>),
}

/// An `auto` or `json` dimension: all values interned, a code a row.
pub(crate) struct AutoMerge {
    store: AutoStore,
    codes: Vec<Vec<u32>>,
    /// How codes sort.
    ranks: Vec<u32>,
}

impl DimensionMerge {
    pub(crate) fn new(schema: &DimensionSchema, inputs: &[Arc<dyn ColumnSource>]) -> Result<Self> {
        let name = &schema.name;
        let columns = || inputs.iter().map(|input| input.column(name)).collect::<Result<Vec<_>>>();
        Ok(match &schema.kind {
            DimensionKind::String { .. } => DimensionMerge::String(StringMerge::new(name, &schema.kind, inputs)?),
            DimensionKind::Long => DimensionMerge::Long(columns()?),
            DimensionKind::Float => DimensionMerge::Float(columns()?),
            DimensionKind::Double => DimensionMerge::Double(columns()?),
            DimensionKind::Auto { cast_to } => DimensionMerge::Auto(Box::new(AutoMerge::new(name, false, cast_to, inputs)?)),
            DimensionKind::Json => DimensionMerge::Auto(Box::new(AutoMerge::new(name, true, &None, inputs)?)),
        })
    }

    /// The merged column.
    pub(crate) fn column(&self, order: &RowOrder) -> Result<ColumnData> {
        Ok(match self {
            DimensionMerge::String(strings) => ColumnData::String(strings.column(order)?),
            DimensionMerge::Long(columns) => ColumnData::Long(merge_numbers(columns, order)?),
            DimensionMerge::Float(columns) => ColumnData::Float(merge_numbers(columns, order)?),
            DimensionMerge::Double(columns) => ColumnData::Double(merge_numbers(columns, order)?),
            DimensionMerge::Auto(auto) => ColumnData::Auto(auto.column(order)),
        })
    }

    /// Reads the sort keys of one input.
    pub(crate) fn key_reader(&self, input: usize) -> Result<KeyReader<'_>> {
        let open = |columns: &[Option<Arc<dyn Column>>]| columns[input].as_ref().map(NumberReader::open).transpose();
        Ok(match self {
            DimensionMerge::String(strings) => KeyReader::open_strings(strings, input)?,
            DimensionMerge::Long(columns) => KeyReader::Long(open(columns)?),
            DimensionMerge::Float(columns) => KeyReader::Float(open(columns)?),
            DimensionMerge::Double(columns) => KeyReader::Double(open(columns)?),
            DimensionMerge::Auto(auto) => KeyReader::Auto { codes: &auto.codes[input], ranks: &auto.ranks },
        })
    }
}

impl AutoMerge {
    fn new(name: &str, always_json: bool, cast_to: &Option<ColumnType>, inputs: &[Arc<dyn ColumnSource>]) -> Result<Self> {
        let mut store = AutoStore::new(always_json, cast_to.clone());
        let mut codes = Vec::with_capacity(inputs.len());
        for input in inputs {
            match input.column(name)? {
                None => store.append_nulls(input.row_count() as usize),
                Some(column) => read_auto(&column, input.row_count(), &mut store)?,
            }
            codes.push(std::mem::take(&mut store.rows).to_vec());
        }
        let table = store.table();
        let mut sorted: Vec<u32> = (0..table.len() as u32).collect();
        sorted.sort_by(|a, b| compare_packed(table.view(*a), table.view(*b)));
        let mut ranks = vec![0; sorted.len()];
        sorted.iter().enumerate().for_each(|(rank, code)| ranks[*code as usize] = rank as u32);
        Ok(AutoMerge { store, codes, ranks })
    }

    fn column(&self, order: &RowOrder) -> AutoColumn {
        let mut codes = vec![0; order.times.len()];
        for (input, targets) in self.codes.iter().zip(&order.targets) {
            input.iter().zip(targets).for_each(|(code, target)| codes[*target as usize] = *code);
        }
        let (always_json, cast_to) = (self.store.always_json, self.store.cast_to.clone());
        AutoColumn { table: Arc::new(self.store.table()), codes, always_json, cast_to }
    }
}

/// Interns a column's rows; numbers without making values of them.
fn read_auto(column: &Arc<dyn Column>, row_count: u32, store: &mut AutoStore) -> Result<()> {
    let mut reader = column.reader()?;
    let column_type = column.capabilities().column_type;
    for block in blocks(row_count) {
        let all = Selection::All(block.len());
        let rows = Rows::Range(block);
        match column_type {
            ColumnType::Long => {
                let numbers = reader.longs(rows)?;
                store.stage(InputColumn::Longs { values: numbers.values, nulls: numbers.nulls }, all)?;
            }
            ColumnType::Double => {
                let numbers = reader.doubles(rows)?;
                store.stage(InputColumn::Doubles { values: numbers.values, nulls: numbers.nulls }, all)?;
            }
            _ => store.stage(InputColumn::Values(reader.values(rows)?), all)?,
        }
        store.commit_all();
    }
    Ok(())
}

/// Reads a column as numbers, whatever numbers it holds.
pub(crate) struct NumberReader {
    reader: Box<dyn ColumnReader>,
    column_type: ColumnType,
}

impl NumberReader {
    fn open(column: &Arc<dyn Column>) -> Result<Self> {
        Ok(NumberReader { reader: column.reader()?, column_type: column.capabilities().column_type })
    }

    fn read<T: NumberKind>(&mut self, rows: Range<u32>, mut each: impl FnMut(usize, Option<T>)) -> Result<()> {
        let all = Selection::All(rows.len());
        let rows = Rows::Range(rows);
        let ignore = |_: usize, _: String| {};
        match self.column_type {
            ColumnType::Long => {
                let n = self.reader.longs(rows)?;
                read_number(InputColumn::Longs { values: n.values, nulls: n.nulls }, all, &mut each, ignore);
            }
            ColumnType::Float => {
                let n = self.reader.floats(rows)?;
                read_number(InputColumn::Floats { values: n.values, nulls: n.nulls }, all, &mut each, ignore);
            }
            ColumnType::Double => {
                let n = self.reader.doubles(rows)?;
                read_number(InputColumn::Doubles { values: n.values, nulls: n.nulls }, all, &mut each, ignore);
            }
            _ => read_number(InputColumn::Values(self.reader.values(rows)?), all, &mut each, ignore),
        }
        Ok(())
    }
}

fn merge_numbers<T: NumberKind>(columns: &[Option<Arc<dyn Column>>], order: &RowOrder) -> Result<NumberColumn<T>> {
    let mut values = vec![T::default(); order.times.len()];
    let mut nulls = vec![true; order.times.len()];
    for (column, targets) in columns.iter().zip(&order.targets) {
        let Some(column) = column else { continue };
        let mut reader = NumberReader::open(column)?;
        for block in blocks(targets.len() as u32) {
            let targets = &targets[block.start as usize..block.end as usize];
            reader.read(block, |place, value: Option<T>| {
                if let Some(value) = value {
                    values[targets[place] as usize] = value;
                    nulls[targets[place] as usize] = false;
                }
            })?;
        }
    }
    Ok(NumberColumn { values, nulls: nulls.contains(&true).then_some(nulls) })
}

/// Reads what rows of one dimension of one input compare by.
pub(crate) enum KeyReader<'a> {
    /// No such column.
    Null {
        lists: bool,
    },
    Codes {
        reader: Box<dyn ColumnReader>,
        map: &'a [u32],
    },
    Lists {
        reader: Box<dyn ColumnReader>,
        map: &'a [u32],
    },
    Rows {
        rows: &'a CodeRows,
        lists: bool,
    },
    Long(Option<NumberReader>),
    Float(Option<NumberReader>),
    Double(Option<NumberReader>),
    Auto {
        codes: &'a [u32],
        ranks: &'a [u32],
    },
}

/// Keys of a run of rows.
pub(crate) enum KeyWindow {
    Numbers(Vec<u64>),
    Lists { offsets: Vec<u32>, codes: Vec<u32> },
}

impl Default for KeyWindow {
    fn default() -> Self {
        KeyWindow::Numbers(Vec::new())
    }
}

impl<'a> KeyReader<'a> {
    fn open_strings(strings: &'a StringMerge, input: usize) -> Result<Self> {
        Ok(match &strings.inputs[input] {
            StringInput::Absent => KeyReader::Null { lists: strings.multi },
            StringInput::Mapped { column, map, .. } if strings.multi => KeyReader::Lists { reader: column.reader()?, map },
            StringInput::Mapped { column, map, .. } => KeyReader::Codes { reader: column.reader()?, map },
            StringInput::Rows(rows) => KeyReader::Rows { rows, lists: strings.multi },
        })
    }

    /// Fills the window with the keys of these rows.
    pub(crate) fn read(&mut self, range: Range<u32>, window: &mut KeyWindow) -> Result<()> {
        let rows = range.start as usize..range.end as usize;
        *window = match self {
            KeyReader::Null { lists: false } => KeyWindow::Numbers(vec![0; rows.len()]),
            KeyReader::Null { lists: true } => {
                KeyWindow::Lists { offsets: (0..=rows.len() as u32).collect(), codes: vec![0; rows.len()] }
            }
            KeyReader::Codes { reader, map } => {
                let codes = reader.codes(Rows::Range(range))?;
                KeyWindow::Numbers(codes.iter().map(|code| u64::from(map[*code as usize])).collect())
            }
            KeyReader::Lists { reader, map } => {
                let lists = reader.multi_codes(Rows::Range(range))?;
                let codes = lists.codes.iter().map(|code| map[*code as usize]).collect();
                KeyWindow::Lists { offsets: lists.offsets.to_vec(), codes }
            }
            KeyReader::Rows { rows: CodeRows::Single(codes), lists: false } => {
                KeyWindow::Numbers(codes[rows].iter().map(|code| u64::from(*code)).collect())
            }
            KeyReader::Rows { rows: CodeRows::Single(codes), .. } => {
                KeyWindow::Lists { offsets: (0..=rows.len() as u32).collect(), codes: codes[rows].to_vec() }
            }
            KeyReader::Rows { rows: CodeRows::Multi { offsets, codes }, .. } => {
                let first = offsets[rows.start];
                let offsets: Vec<u32> = offsets[rows.start..=rows.end].iter().map(|offset| offset - first).collect();
                let length = offsets[offsets.len() - 1];
                KeyWindow::Lists { offsets, codes: codes[first as usize..(first + length) as usize].to_vec() }
            }
            KeyReader::Long(reader) => KeyWindow::Numbers(number_keys::<i64>(reader.as_mut(), range)?),
            KeyReader::Float(reader) => KeyWindow::Numbers(number_keys::<f32>(reader.as_mut(), range)?),
            KeyReader::Double(reader) => KeyWindow::Numbers(number_keys::<f64>(reader.as_mut(), range)?),
            KeyReader::Auto { codes, ranks } => {
                KeyWindow::Numbers(codes[rows].iter().map(|code| u64::from(ranks[*code as usize])).collect())
            }
        };
        Ok(())
    }
}

/// Null first; the smallest number ties with it in order, and only there.
fn number_keys<T: NumberKind>(reader: Option<&mut NumberReader>, range: Range<u32>) -> Result<Vec<u64>> {
    let mut keys = vec![0; range.len()];
    if let Some(reader) = reader {
        reader.read(range, |place, value: Option<T>| keys[place] = value.map_or(0, |value| value.order_bits().max(1)))?;
    }
    Ok(keys)
}

/// A metric: copied where every row stays, combined by its aggregator where rows meet.
pub(crate) fn metric_column(spec: &AggregatorSpec, inputs: &[Arc<dyn ColumnSource>], order: &RowOrder) -> Result<ColumnData> {
    let columns = inputs.iter().map(|input| input.column(spec.name())).collect::<Result<Vec<_>>>()?;
    let column_type = spec.intermediate_type();
    if !order.combined {
        return Ok(match &column_type {
            ColumnType::Long => ColumnData::Long(merge_numbers(&columns, order)?),
            ColumnType::Float => ColumnData::Float(merge_numbers(&columns, order)?),
            ColumnType::Double => ColumnData::Double(merge_numbers(&columns, order)?),
            ColumnType::Complex(Some(name)) => ColumnData::Complex(merge_complex(name, &columns, order)?),
            _ => ColumnData::Auto(AutoMerge::new(spec.name(), false, &None, inputs)?.column(order)),
        });
    }
    let mut merger = spec.merger()?;
    merger.resize(order.times.len());
    for (column, targets) in columns.iter().zip(&order.targets) {
        let Some(column) = column else { continue };
        let mut reader = column.reader()?;
        let stored = column.capabilities().column_type;
        for block in blocks(targets.len() as u32) {
            let targets = &targets[block.start as usize..block.end as usize];
            let partial = read_vector(reader.as_mut(), &stored, &column_type, Rows::Range(block))?;
            merger.merge(&partial, targets)?;
        }
    }
    let mut merged = MetricColumn::new(&column_type);
    merged.append(&merger.take_partial()?)?;
    Ok(merged.finish(None))
}

/// Rows of a stored metric as a vector of its aggregator's type.
fn read_vector(reader: &mut dyn ColumnReader, stored: &ColumnType, wanted: &ColumnType, rows: Rows<'_>) -> Result<Vector> {
    fn marks(nulls: Option<&[bool]>) -> Option<Vec<bool>> {
        nulls.map(<[bool]>::to_vec)
    }
    Ok(match (stored, wanted) {
        (ColumnType::Long, ColumnType::Long) => {
            let numbers = reader.longs(rows)?;
            Vector::Long { values: numbers.values.to_vec(), nulls: marks(numbers.nulls) }
        }
        (ColumnType::Float, ColumnType::Float) => {
            let numbers = reader.floats(rows)?;
            Vector::Float { values: numbers.values.to_vec(), nulls: marks(numbers.nulls) }
        }
        (ColumnType::Double, ColumnType::Double) => {
            let numbers = reader.doubles(rows)?;
            Vector::Double { values: numbers.values.to_vec(), nulls: marks(numbers.nulls) }
        }
        (_, ColumnType::Long | ColumnType::Float | ColumnType::Double) => {
            let mut store = MetricColumn::new(wanted);
            let values = reader.values(rows)?.to_vec();
            store.append(&Vector::Any { column_type: stored.clone(), values })?;
            match store.finish(None) {
                ColumnData::Long(NumberColumn { values, nulls }) => Vector::Long { values, nulls },
                ColumnData::Float(NumberColumn { values, nulls }) => Vector::Float { values, nulls },
                ColumnData::Double(NumberColumn { values, nulls }) => Vector::Double { values, nulls },
                ColumnData::String(_) | ColumnData::Auto(_) | ColumnData::Complex(_) => Vector::Null { len: 0 },
            }
        }
        _ => Vector::Any { column_type: wanted.clone(), values: reader.values(rows)?.to_vec() },
    })
}

/// Complex rows have any length: collected by input, then put in order.
fn merge_complex(name: &Arc<str>, columns: &[Option<Arc<dyn Column>>], order: &RowOrder) -> Result<ComplexColumn> {
    let mut tables = Vec::with_capacity(columns.len());
    let mut places = vec![(u32::MAX, 0u32); order.times.len()];
    for (input, (column, targets)) in columns.iter().zip(&order.targets).enumerate() {
        let mut table = ByteTable::default();
        if let Some(column) = column {
            let mut reader = column.reader()?;
            for block in blocks(targets.len() as u32) {
                for value in reader.values(Rows::Range(block))? {
                    match value {
                        Value::Complex(_, bytes) => table.push(bytes),
                        _ => table.push(&[]),
                    }
                }
            }
            targets.iter().enumerate().for_each(|(row, target)| places[*target as usize] = (input as u32, row as u32));
        }
        tables.push(table);
    }
    let mut rows = ByteTable::with_capacity(places.len(), tables.iter().map(|table| table.all_bytes().len()).sum());
    for (input, row) in places {
        rows.push(tables.get(input as usize).map_or(&[], |table| table.get(row as usize)));
    }
    Ok(ComplexColumn { type_name: name.clone(), rows })
}
