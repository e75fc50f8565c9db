//! How compute sees stored columns, whoever stores them: a shared immutable [`Column`], and a [`ColumnReader`] a thread
//! that lends slices out of its own decoded blocks. Segments, in-memory indexes, inline tables and virtual columns all
//! implement these traits, so operators know only codes, numbers and bitmaps.

use std::any::Any;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use croaring::Bitmap;
use ovate_base::{DruidError, Granularity, Interval, Result};

use crate::types::ColumnType;
use crate::value::Value;
use crate::virtual_column::PathPart;

mod computed;
pub mod convert;
mod dictionary;
mod mapped;
mod memory;
mod summary;

pub use computed::ComputedColumn;
pub(crate) use computed::Lent;
pub use dictionary::MemoryDictionary;
pub use mapped::{Mapped, MappedColumn};
pub use memory::{MemoryColumn, MemoryTable};
pub use summary::{LongBounds, Summary, SummaryNumber, gcd};

/// Which rows to read: a run, or ascending row numbers.
#[derive(Debug, Clone)]
pub enum Rows<'a> {
    Range(Range<u32>),
    Ids(&'a [u32]),
}

impl Rows<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Rows::Range(range) => range.len(),
            Rows::Ids(ids) => ids.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Numbers lent by a reader. `nulls` is `None` when none of the rows is null; true means null.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a, T> {
    pub values: &'a [T],
    pub nulls: Option<&'a [bool]>,
}

/// Dictionary codes of multi-value rows: row `i` has `codes[offsets[i]..offsets[i + 1]]`. An empty row equals null.
#[derive(Debug, Clone, Copy)]
pub struct MultiCodes<'a> {
    pub offsets: &'a [u32],
    pub codes: &'a [u32],
}

/// What can be known of a column without reading it (`ColumnCapabilities`).
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnCapabilities {
    pub column_type: ColumnType,
    /// A STRING column in which a row may hold several values.
    pub multi_value: bool,
    /// `codes` or `multi_codes` can be read and `dictionary` is there.
    pub dictionary: bool,
    /// `bitmap_index` is there.
    pub bitmaps: bool,
    /// False only when certainly no row is null.
    pub has_nulls: bool,
}

/// The distinct values of a string column by code.
pub trait Dictionary: Send + Sync {
    /// Number of codes; codes are `0..cardinality`.
    fn cardinality(&self) -> u32;
    /// The value of a code; `None` is null. An error means a damaged column or a code out of range.
    fn get(&self, code: u32) -> Result<Option<Cow<'_, str>>>;
    /// The code of a value, `None` when it is not there.
    fn find(&self, value: Option<&str>) -> Result<Option<u32>>;
    /// True when codes ascend with the values (null first, then UTF-8 byte order).
    fn is_sorted(&self) -> bool;
    /// Bytes that are held for this dictionary alone; 0 where others keep it anyway.
    fn memory_bytes(&self) -> usize {
        0
    }
    /// First code whose value is not less than `value`; only for sorted dictionaries.
    fn lower_bound(&self, value: &str) -> Result<u32> {
        let (mut low, mut high) = (0, self.cardinality());
        while low < high {
            let middle = low + (high - low) / 2;
            let less = self.get(middle)?.is_none_or(|v| v.as_ref() < value);
            if less { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

/// Rows by dictionary code.
pub trait BitmapIndex: Send + Sync {
    /// The rows that hold this code.
    fn bitmap(&self, code: u32) -> Result<Bitmap>;
    /// The rows that hold any of these codes.
    fn union(&self, codes: &mut dyn Iterator<Item = u32>) -> Result<Bitmap> {
        let mut result = Bitmap::new();
        for code in codes {
            result.or_inplace(&self.bitmap(code)?);
        }
        Ok(result)
    }
}

/// A stored or computed column; shared between threads.
pub trait Column: Send + Sync {
    fn capabilities(&self) -> ColumnCapabilities;
    /// A cursor for one thread. Opening may fail on a damaged column.
    fn reader(&self) -> Result<Box<dyn ColumnReader>>;
    /// The dictionary of a STRING column that has one.
    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        None
    }
    /// Bitmaps by dictionary code.
    fn bitmap_index(&self) -> Option<Arc<dyn BitmapIndex>> {
        None
    }
    /// The rows that are null, where that is stored apart (numeric columns). `Ok(None)`: unknown, read the rows.
    fn null_rows(&self) -> Result<Option<Bitmap>> {
        Ok(None)
    }
    /// Bounds of a LONG column's values, null's stand-in included; `None` where they are not kept. May read the column once.
    fn long_bounds(&self) -> Result<Option<LongBounds>> {
        Ok(None)
    }
    /// What was worked out of the dictionary before and is still kept; `kind` is below [`DERIVED_KINDS`].
    fn derived(&self, _kind: usize) -> Option<Derived> {
        None
    }
    /// Keeps what was worked out of the dictionary, as long as there is room for `bytes`.
    fn keep_derived(&self, _kind: usize, _derived: Derived, _bytes: usize) {}
    /// Bytes out of which [`Column::derived`] may make such a thing once it is asked for
    /// ([`items_from_bytes`](crate::aggregate::stored_items::items_from_bytes)).
    fn offer_derived(&self, _kind: usize, _bytes: Bytes) {}
    /// The column as scanned rows show it and tests for null see it, where that is not what is worked with.
    fn shown(&self) -> Option<Arc<dyn Column>> {
        None
    }
}

/// How many kinds of things a column can keep that were worked out of its dictionary.
pub const DERIVED_KINDS: usize = 8;

/// Something worked out of a dictionary, such as the hash of each value.
pub type Derived = Arc<dyn Any + Send + Sync>;

/// Reads rows of one column. A reader implements its native form (`longs` for LONG, `floats` for FLOAT, `doubles` for
/// DOUBLE, `codes` or `multi_codes` where there is a dictionary) and always `values`. Conversions between forms
/// belong to `column::convert`. What is lent lives until the next call.
pub trait ColumnReader: Send {
    fn longs(&mut self, _rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        Err(DruidError::runtime("column is not LONG"))
    }
    fn floats(&mut self, _rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        Err(DruidError::runtime("column is not FLOAT"))
    }
    fn doubles(&mut self, _rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        Err(DruidError::runtime("column is not DOUBLE"))
    }
    /// Codes of a single-valued STRING column.
    fn codes(&mut self, _rows: Rows<'_>) -> Result<&[u32]> {
        Err(DruidError::runtime("column has no dictionary"))
    }
    /// Codes of a STRING column whose rows may hold several values; also for single-valued ones with a dictionary.
    fn multi_codes(&mut self, _rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        Err(DruidError::runtime("column has no dictionary"))
    }
    /// Sum, least and greatest of these rows of a LONG column, where the column keeps them for just these rows and none of
    /// them is null.
    fn long_summary(&mut self, _rows: Range<u32>) -> Result<Option<Summary<i64>>> {
        Ok(None)
    }
    /// The same of a FLOAT column.
    fn float_summary(&mut self, _rows: Range<u32>) -> Result<Option<Summary<f32>>> {
        Ok(None)
    }
    /// The same of a DOUBLE column.
    fn double_summary(&mut self, _rows: Range<u32>) -> Result<Option<Summary<f64>>> {
        Ok(None)
    }
    /// Any column by value; slow, for edges and complex types.
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]>;
}

/// What is known of a projection before it is opened (`AggregateProjectionMetadata.Schema`).
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    pub name: String,
    pub row_count: u32,
    /// The grouping column that is its time; `None`: it is not grouped by time.
    pub time_column: Option<String>,
    pub filter: Option<serde_json::Value>,
    pub virtual_columns: Vec<serde_json::Value>,
    pub grouping_columns: Vec<String>,
    pub aggregators: Vec<serde_json::Value>,
}

/// A table of rows with columns: a segment, an in-memory index, an inline table, or one of these with virtual columns.
pub trait ColumnSource: Send + Sync {
    fn row_count(&self) -> u32;
    /// All column names in stored order, `__time` first where it is there.
    fn column_names(&self) -> Vec<String>;
    /// Type and indexes of a column without opening it; `None` when there is no such column.
    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities>;
    /// Opens a column; `Ok(None)` when there is no such column (it reads as null, SEM-05).
    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>>;
    /// The values at a path inside a column's JSON as a typed column of their own, where the source keeps one; a path that
    /// no row has gives a column of nulls. `Ok(None)`: the source cannot tell, take the column's values apart.
    fn nested_field(&self, _column: &str, _path: &[PathPart]) -> Result<Option<Arc<dyn Column>>> {
        Ok(None)
    }
    /// A granularity within whose buckets this computed column does not change: what is made of `__time` alone by rounding
    /// or by taking a part.
    fn time_step(&self, _column: &str) -> Option<Granularity> {
        None
    }
    /// Rows of this source that are kept grouped and aggregated besides.
    fn projections(&self) -> Vec<Projection> {
        Vec::new()
    }
    /// The rows of a projection: its grouping columns and aggregators as columns, and `__time`.
    fn projection(&self, _name: &str) -> Result<Option<Arc<dyn ColumnSource>>> {
        Ok(None)
    }
    /// The interval that the rows' timestamps lie in.
    fn interval(&self) -> Interval;
    /// True when rows ascend by `__time`, so that a time range is a row range.
    fn is_time_sorted(&self) -> bool;
}
