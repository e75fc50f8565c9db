//! One grouping key over one segment: turns batches of rows into small integers, without looking at strings. Stored
//! dictionaries give their codes; numbers and computed values are numbered in the order met.

use std::borrow::Cow;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::column::convert::LongReader;
use ovate_compute::{Column, ColumnReader, ColumnType, Dictionary, Rows, Value, Vector};

use crate::group::{BytesInterner, NumberInterner, SharedDictionary, double_bits, float_bits, number_vector};
use crate::partial::encode_key;

/// A key column of one segment.
pub(crate) struct SegmentKey {
    kind: Kind,
    output_type: Option<ColumnType>,
    shared: Option<(Arc<dyn Column>, Arc<SharedDictionary>)>,
    /// Rows without a value have no group: what a value filter took away is not null (topN only).
    skips_nulls: bool,
    skips_empty_rows: bool,
    /// The dimension's name where a row with several values is an error.
    single_valued: Option<String>,
    /// The key is the same within each piece of the rows: the id in this one.
    stepped: Option<u32>,
}

enum Kind {
    /// The same for all rows until told otherwise: the time bucket of a sorted segment.
    Bucket {
        starts: Vec<i64>,
        current: u32,
    },
    /// The time bucket of rows in any order.
    Time {
        reader: LongReader,
        granularity: Granularity,
        starts: Vec<i64>,
        numbers: NumberInterner,
    },
    Missing,
    Codes {
        reader: Box<dyn ColumnReader>,
        dictionary: Arc<dyn Dictionary>,
    },
    MultiCodes {
        reader: Box<dyn ColumnReader>,
        dictionary: Arc<dyn Dictionary>,
        null_code: u32,
    },
    Numbers {
        reader: Box<dyn ColumnReader>,
        column_type: ColumnType,
        numbers: NumberInterner,
    },
    /// Strings without a dictionary; several in a row explode.
    Strings {
        reader: Box<dyn ColumnReader>,
        texts: BytesInterner,
    },
    /// Arrays and the like, as whole values.
    Values {
        reader: Box<dyn ColumnReader>,
        column_type: ColumnType,
        encoded: BytesInterner,
        values: Vec<Value>,
        scratch: Vec<u8>,
    },
}

impl SegmentKey {
    /// A key without a shared dictionary or anything to skip.
    fn plain(kind: Kind, output_type: Option<ColumnType>) -> Self {
        SegmentKey {
            kind,
            output_type,
            shared: None,
            skips_nulls: false,
            skips_empty_rows: false,
            single_valued: None,
            stepped: None,
        }
    }

    /// Time buckets that are constant over row ranges.
    pub fn buckets(starts: Vec<i64>) -> Self {
        Self::plain(Kind::Bucket { starts, current: 0 }, None)
    }

    /// Time buckets worked out row by row.
    pub fn time(reader: LongReader, granularity: Granularity) -> Self {
        let kind = Kind::Time { reader, granularity, starts: Vec::new(), numbers: NumberInterner::default() };
        Self::plain(kind, None)
    }

    /// A dimension's column; `None` is all null.
    pub fn dimension(column: Option<Arc<dyn Column>>, output_type: ColumnType) -> Result<Self> {
        let Some(column) = column else {
            return Ok(Self::plain(Kind::Missing, Some(output_type)));
        };
        let capabilities = column.capabilities();
        let whole_arrays = matches!(output_type, ColumnType::Array(_));
        let reader = column.reader()?;
        let kind = match (&capabilities.column_type, column.dictionary()) {
            (ColumnType::String, Some(dictionary)) if capabilities.dictionary && !capabilities.multi_value => {
                Kind::Codes { reader, dictionary }
            }
            (ColumnType::String, Some(dictionary)) if capabilities.dictionary && !whole_arrays => {
                let null_code = dictionary.find(None)?.unwrap_or(dictionary.cardinality());
                Kind::MultiCodes { reader, dictionary, null_code }
            }
            (ColumnType::Long | ColumnType::Float | ColumnType::Double, _) => {
                Kind::Numbers { reader, column_type: capabilities.column_type.clone(), numbers: NumberInterner::default() }
            }
            (ColumnType::String, _) if !whole_arrays => Kind::Strings { reader, texts: BytesInterner::default() },
            (column_type, _) => Kind::Values {
                reader,
                column_type: if whole_arrays { output_type.clone() } else { column_type.clone() },
                encoded: BytesInterner::default(),
                values: Vec::new(),
                scratch: Vec::new(),
            },
        };
        Ok(SegmentKey {
            kind,
            output_type: Some(output_type),
            shared: None,
            skips_nulls: false,
            skips_empty_rows: false,
            single_valued: None,
            stepped: None,
        })
    }

    /// Says which dictionary the column shares with other segments. Only columns that their segment keeps open share one.
    pub fn share(mut self, column: Option<Arc<dyn Column>>, dictionary: impl FnOnce() -> Arc<SharedDictionary>) -> Self {
        if let (Some(column), Kind::Codes { .. }) = (column, &self.kind)
            && self.output_type == Some(ColumnType::String)
        {
            self.shared = Some((column, dictionary()));
        }
        self
    }

    /// True when merging can tell equal values by a number, without looking at texts.
    pub fn is_cut_by_number(&self) -> bool {
        self.shared.is_some() || matches!(self.kind, Kind::Bucket { .. } | Kind::Time { .. } | Kind::Numbers { .. })
    }

    /// Leaves out rows without a value.
    pub fn skipping_nulls(mut self, skips: bool) -> Self {
        self.skips_nulls = skips;
        self
    }

    /// Leaves out rows of a multi-value column that hold nothing at all.
    pub fn skipping_empty_rows(mut self, skips: bool) -> Self {
        self.skips_empty_rows = skips;
        self
    }

    /// Refuses rows with several values, under this name (`UnexpectedMultiValueDimensionException`).
    pub fn single_valued(mut self, dimension: Option<&str>) -> Self {
        self.single_valued = dimension.map(str::to_owned);
        self
    }

    /// Says that the key is the same within each piece of the rows; [`SegmentKey::start_piece`] tells where one begins.
    pub fn stepping(mut self, steps: bool) -> Self {
        self.stepped = (steps && !self.skips_nulls).then_some(0);
        self
    }

    /// Looks at the first row of a piece.
    pub fn start_piece(&mut self, row: u32) -> Result<()> {
        if self.stepped.is_none() {
            return Ok(());
        }
        let (mut ids, mut offsets) = (Vec::new(), Vec::new());
        self.read_all(Rows::Range(row..row + 1), &mut ids, &mut offsets)?;
        match ids.as_slice() {
            [id] => self.stepped = Some(*id),
            _ => return Err(DruidError::runtime("a key made of the time has several values in a row")),
        }
        Ok(())
    }

    /// Every id is below this; `1 << 32` where it is not known.
    pub fn limit(&self) -> u64 {
        match &self.kind {
            Kind::Bucket { starts, .. } => starts.len() as u64,
            Kind::Missing => 1,
            Kind::Codes { dictionary, .. } => u64::from(dictionary.cardinality()),
            Kind::MultiCodes { dictionary, .. } => u64::from(dictionary.cardinality()) + 1,
            _ => 1 << 32,
        }
    }

    /// True when different ids may stand for the same output value, so that groups have to be merged once more.
    pub fn may_repeat(&self) -> bool {
        let string_out = self.output_type.as_ref().is_none_or(|t| *t == ColumnType::String);
        match &self.kind {
            Kind::Bucket { .. } | Kind::Time { .. } | Kind::Missing => false,
            Kind::Codes { dictionary, .. } | Kind::MultiCodes { dictionary, .. } => !string_out || !dictionary.is_sorted(),
            Kind::Numbers { column_type, .. } => !string_out && self.output_type.as_ref() != Some(column_type),
            Kind::Strings { .. } => !string_out,
            Kind::Values { .. } => false,
        }
    }

    /// True when the id does not change within a row range.
    pub fn is_constant(&self) -> bool {
        (self.stepped.is_some() || matches!(self.kind, Kind::Bucket { .. } | Kind::Missing)) && !self.skips_nulls
    }

    /// The starts of these buckets; empty for other keys.
    pub fn bucket_vector(&self, buckets: Vec<u32>) -> Vector {
        let starts = match &self.kind {
            Kind::Bucket { starts, .. } => buckets.iter().map(|bucket| starts[*bucket as usize]).collect(),
            _ => Vec::new(),
        };
        Vector::Long { values: starts, nulls: None }
    }

    /// Says which bucket the next rows lie in.
    pub fn set_bucket(&mut self, bucket: u32) {
        if let Kind::Bucket { current, .. } = &mut self.kind {
            *current = bucket;
        }
    }

    /// Puts the rows' ids into `ids`. Returns true when rows may have several or none; then `offsets` says which are whose.
    pub fn read(&mut self, rows: Rows<'_>, ids: &mut Vec<u32>, offsets: &mut Vec<u32>) -> Result<bool> {
        if let Some(id) = self.stepped {
            ids.clear();
            ids.resize(rows.len(), id);
            return Ok(false);
        }
        let several = self.read_all(rows, ids, offsets)?;
        if !self.skips_nulls {
            return Ok(several);
        }
        let null = self.null_id();
        if !several {
            offsets.clear();
            offsets.extend(0..=ids.len() as u32);
        }
        let (mut kept, mut start) = (0, 0);
        for offset in offsets.iter_mut().skip(1) {
            let end = *offset as usize;
            for at in start..end {
                if Some(ids[at]) != null {
                    ids[kept] = ids[at];
                    kept += 1;
                }
            }
            (*offset, start) = (kept as u32, end);
        }
        ids.truncate(kept);
        Ok(true)
    }

    fn null_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::Missing => Some(0),
            Kind::Codes { dictionary, .. } => dictionary.find(None).ok().flatten(),
            Kind::MultiCodes { null_code, .. } => Some(*null_code),
            Kind::Numbers { numbers, .. } => numbers.null_id(),
            Kind::Strings { texts, .. } => texts.find(None).ok().flatten(),
            Kind::Bucket { .. } | Kind::Time { .. } | Kind::Values { .. } => None,
        }
    }

    fn read_all(&mut self, rows: Rows<'_>, ids: &mut Vec<u32>, offsets: &mut Vec<u32>) -> Result<bool> {
        ids.clear();
        match &mut self.kind {
            Kind::Bucket { current, .. } => ids.resize(rows.len(), *current),
            Kind::Missing => ids.resize(rows.len(), 0),
            Kind::Time { reader, granularity, starts, numbers } => {
                starts.clear();
                granularity.bucket_starts(reader.read(rows)?.values, starts);
                ids.extend(starts.iter().map(|start| numbers.intern(*start as u64)));
            }
            Kind::Codes { reader, .. } => ids.extend_from_slice(reader.codes(rows)?),
            Kind::MultiCodes { reader, null_code, .. } => {
                let multi = reader.multi_codes(rows)?;
                offsets.clear();
                offsets.push(0);
                let mut skipped = false;
                for pair in multi.offsets.windows(2) {
                    check_single(self.single_valued.as_deref(), (pair[1] - pair[0]) as usize)?;
                    if pair[0] == pair[1] && self.skips_empty_rows {
                        skipped = true;
                    } else if pair[0] == pair[1] {
                        ids.push(*null_code);
                    } else {
                        ids.extend_from_slice(&multi.codes[pair[0] as usize..pair[1] as usize]);
                    }
                    offsets.push(ids.len() as u32);
                }
                return Ok(skipped || ids.len() + 1 != offsets.len());
            }
            Kind::Numbers { reader, column_type, numbers } => read_numbers(reader.as_mut(), column_type, numbers, rows, ids)?,
            Kind::Strings { reader, texts } => {
                offsets.clear();
                offsets.push(0);
                let mut one = |value: &Value, ids: &mut Vec<u32>| {
                    ids.push(match value {
                        Value::String(text) => texts.intern(Some(text.as_bytes())),
                        other => texts.intern(other.as_text().as_deref().map(str::as_bytes)),
                    });
                };
                for value in reader.values(rows)? {
                    if let Value::Array(elements) = value {
                        check_single(self.single_valued.as_deref(), elements.len())?;
                    }
                    match value {
                        Value::Array(elements) if !elements.is_empty() => elements.iter().for_each(|e| one(e, ids)),
                        Value::Array(_) => one(&Value::Null, ids),
                        scalar => one(scalar, ids),
                    }
                    offsets.push(ids.len() as u32);
                }
                return Ok(ids.len() + 1 != offsets.len());
            }
            Kind::Values { reader, column_type, encoded, values, scratch } => {
                for value in reader.values(rows)? {
                    let value = if matches!(column_type, ColumnType::Array(_)) { value.cast(column_type) } else { value.clone() };
                    scratch.clear();
                    encode_key(&value, scratch);
                    let id = encoded.intern((!value.is_null()).then_some(scratch.as_slice()));
                    if id as usize == values.len() {
                        values.push(value);
                    }
                    ids.push(id);
                }
            }
        }
        Ok(false)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        match &self.kind {
            Kind::Time { numbers, .. } | Kind::Numbers { numbers, .. } => numbers.memory_bytes(),
            Kind::Strings { texts, .. } => texts.memory_bytes(),
            Kind::Values { encoded, values, .. } => encoded.memory_bytes() + values.capacity() * size_of::<Value>(),
            _ => 0,
        }
    }

    /// The values of the ids, in the output type.
    pub fn into_vector(self, ids: Vec<u32>) -> Result<Vector> {
        let vector = match self.kind {
            Kind::Bucket { starts, .. } => {
                Vector::Long { values: ids.iter().map(|id| starts[*id as usize]).collect(), nulls: None }
            }
            Kind::Time { numbers, .. } => longs(&numbers, &ids),
            Kind::Missing => Vector::Null { len: ids.len() },
            Kind::Codes { dictionary, .. } => {
                let mut ids = ids;
                match self.shared {
                    Some((column, shared)) if shared.map_codes(&column, dictionary.as_ref(), &mut ids)? => {
                        Vector::Codes { dictionary: shared, codes: ids }
                    }
                    _ => Vector::Codes { dictionary, codes: ids },
                }
            }
            Kind::MultiCodes { dictionary, null_code, .. } => {
                let dictionary: Arc<dyn Dictionary> =
                    if null_code == dictionary.cardinality() { Arc::new(WithNull(dictionary)) } else { dictionary };
                Vector::Codes { dictionary, codes: ids }
            }
            Kind::Numbers { column_type, numbers, .. } => match column_type {
                ColumnType::Float => number_vector(
                    &numbers,
                    &ids,
                    |bits| f32::from_bits(bits as u32),
                    |values, nulls| Vector::Float { values, nulls },
                ),
                ColumnType::Double => {
                    number_vector(&numbers, &ids, f64::from_bits, |values, nulls| Vector::Double { values, nulls })
                }
                _ => longs(&numbers, &ids),
            },
            Kind::Strings { texts, .. } => Vector::Codes { dictionary: Arc::new(texts), codes: ids },
            Kind::Values { column_type, values, .. } => {
                Vector::Any { column_type, values: ids.iter().map(|id| values[*id as usize].clone()).collect() }
            }
        };
        Ok(match self.output_type {
            // Arrays and complex values keep their type where a text is the default.
            Some(ColumnType::String) if matches!(vector, Vector::Any { .. }) => vector,
            Some(output_type) => vector.cast(&output_type),
            None => vector,
        })
    }
}

fn longs(numbers: &NumberInterner, ids: &[u32]) -> Vector {
    number_vector(numbers, ids, |bits| bits as i64, |values, nulls| Vector::Long { values, nulls })
}

fn check_single(dimension: Option<&str>, values: usize) -> Result<()> {
    match dimension {
        Some(dimension) if values > 1 => Err(DruidError::runtime(format!(
            "Encountered multi-value dimension [{dimension}] that cannot be processed with 'groupByEnableMultiValueUnnesting' set \
             to false. Consider setting 'groupByEnableMultiValueUnnesting' to true in your query context."
        ))),
        _ => Ok(()),
    }
}

fn read_numbers(
    reader: &mut dyn ColumnReader,
    column_type: &ColumnType,
    numbers: &mut NumberInterner,
    rows: Rows<'_>,
    ids: &mut Vec<u32>,
) -> Result<()> {
    let mut push = |bits: u64, null: bool| ids.push(if null { numbers.intern_null() } else { numbers.intern(bits) });
    let is_null = |nulls: Option<&[bool]>, at: usize| nulls.is_some_and(|n| n[at]);
    match column_type {
        ColumnType::Float => {
            let own = reader.floats(rows)?;
            own.values.iter().enumerate().for_each(|(at, v)| push(float_bits(*v), is_null(own.nulls, at)));
        }
        ColumnType::Double => {
            let own = reader.doubles(rows)?;
            own.values.iter().enumerate().for_each(|(at, v)| push(double_bits(*v), is_null(own.nulls, at)));
        }
        _ => {
            let own = reader.longs(rows)?;
            own.values.iter().enumerate().for_each(|(at, v)| push(*v as u64, is_null(own.nulls, at)));
        }
    }
    Ok(())
}

/// A dictionary with one more code, for null.
struct WithNull(Arc<dyn Dictionary>);

impl Dictionary for WithNull {
    fn cardinality(&self) -> u32 {
        self.0.cardinality() + 1
    }

    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>> {
        if code == self.0.cardinality() { Ok(None) } else { self.0.get(code) }
    }

    fn find(&self, value: Option<&str>) -> Result<Option<u32>> {
        if value.is_none() { Ok(Some(self.0.cardinality())) } else { self.0.find(value) }
    }

    fn is_sorted(&self) -> bool {
        false
    }
}
