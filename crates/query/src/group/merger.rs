//! Merges partial groupings. Each partial's dictionary is walked once, only for the codes that occur; after that all
//! work is on integers.

use std::borrow::Cow;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::{Aggregator, ColumnType, Value, Vector};

use super::{BytesInterner, GroupTable, NumberInterner, SharedDictionaries, SharedDictionary};
use crate::partial::GroupsPartial;
use crate::partial::encode_key;

/// Groups of several partials, growing.
pub(crate) struct GroupMerger {
    keys: Vec<KeyValues>,
    table: GroupTable,
    aggregators: Vec<Box<dyn Aggregator>>,
    buckets: Vec<i64>,
    groups: Vec<u32>,
    ids: Vec<Vec<u32>>,
    dictionaries: Option<Arc<SharedDictionaries>>,
}

/// The distinct values of one key column.
enum KeyValues {
    /// Nothing but untyped nulls so far.
    Unknown,
    Long(NumberInterner),
    Float(NumberInterner),
    Double(NumberInterner),
    String(BytesInterner),
    /// Numbers of a dictionary that outlives the query.
    Shared(Arc<SharedDictionary>),
    /// Anything else, told apart by its encoded bytes.
    Any {
        column_type: ColumnType,
        encoded: BytesInterner,
        values: Vec<Value>,
    },
}

impl GroupMerger {
    /// For this many key columns and these aggregators.
    pub fn new(key_count: usize, aggregations: &[AggregatorSpec]) -> Result<Self> {
        Ok(GroupMerger {
            keys: (0..key_count).map(|_| KeyValues::Unknown).collect(),
            table: GroupTable::new(&vec![1 << 32; key_count]),
            aggregators: aggregations.iter().map(AggregatorSpec::merger).collect::<Result<_>>()?,
            buckets: Vec::new(),
            groups: Vec::new(),
            ids: vec![Vec::new(); key_count],
            dictionaries: None,
        })
    }

    /// For a part of the groups, whose keys lie scattered.
    pub fn of_part(key_count: usize, aggregations: &[AggregatorSpec]) -> Result<Self> {
        Ok(GroupMerger { table: GroupTable::scattered(key_count), ..Self::new(key_count, aggregations)? })
    }

    /// Keeps the numbers of these dictionaries where partials come with them.
    pub fn with_dictionaries(mut self, dictionaries: &Arc<SharedDictionaries>) -> Self {
        self.dictionaries = Some(dictionaries.clone());
        self
    }

    /// Adds a partial's groups.
    pub fn push(&mut self, partial: &GroupsPartial) -> Result<()> {
        self.buckets.extend_from_slice(&partial.buckets);
        if partial.keys.len() != self.keys.len() || partial.aggregates.len() != self.aggregators.len() {
            return Err(DruidError::runtime("partial result has other columns than the query"));
        }
        if partial.rows == 0 {
            return Ok(());
        }
        for ((values, key), ids) in self.keys.iter_mut().zip(&partial.keys).zip(&mut self.ids) {
            ids.clear();
            if let (KeyValues::Unknown, Vector::Codes { dictionary, .. }) = (&*values, key)
                && self.table.len() == 0
                && let Some(shared) = self.dictionaries.as_ref().and_then(|known| known.find(dictionary))
            {
                *values = KeyValues::Shared(shared);
            }
            values.ids_of(key, ids)?;
            if ids.len() != partial.rows {
                return Err(DruidError::runtime("partial result has columns of different length"));
            }
        }
        self.table.groups_of(&self.ids, partial.rows, &mut self.groups);
        for (aggregator, column) in self.aggregators.iter_mut().zip(&partial.aggregates) {
            aggregator.resize(self.table.len());
            aggregator.merge(column, &self.groups)?;
        }
        Ok(())
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(KeyValues::memory_bytes).sum();
        let states: usize = self.aggregators.iter().map(|a| a.memory_bytes()).sum();
        keys + states + self.table.memory_bytes()
    }

    /// The merged groups.
    pub fn finish(mut self) -> Result<GroupsPartial> {
        let rows = self.table.len();
        let mut aggregates = Vec::with_capacity(self.aggregators.len());
        for aggregator in &mut self.aggregators {
            aggregator.resize(rows);
            aggregates.push(aggregator.take_partial()?);
        }
        let keys = self.keys.into_iter().zip(self.table.into_keys()).map(|(values, ids)| values.into_vector(ids)).collect();
        self.buckets.sort_unstable();
        self.buckets.dedup();
        Ok(GroupsPartial { keys, aggregates, rows, buckets: self.buckets, ..GroupsPartial::default() })
    }
}

impl KeyValues {
    fn for_type(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Long => KeyValues::Long(NumberInterner::default()),
            ColumnType::Float => KeyValues::Float(NumberInterner::default()),
            ColumnType::Double => KeyValues::Double(NumberInterner::default()),
            ColumnType::String => KeyValues::String(BytesInterner::default()),
            column_type => KeyValues::Any { column_type, encoded: BytesInterner::default(), values: Vec::new() },
        }
    }

    /// Puts the number of every row's value into `ids`.
    fn ids_of(&mut self, key: &Vector, ids: &mut Vec<u32>) -> Result<()> {
        if let (KeyValues::Unknown, Some(column_type)) = (&self, key.column_type()) {
            let mut typed = KeyValues::for_type(column_type);
            // Nulls met before the type was known have number 0, so null takes it always.
            typed.null_id();
            *self = typed;
        }
        match (&mut *self, key) {
            (KeyValues::Unknown, key) => ids.resize(key.len(), 0),
            (KeyValues::Shared(shared), Vector::Codes { dictionary, codes }) => {
                if Arc::as_ptr(dictionary).cast::<()>() == Arc::as_ptr(shared).cast::<()>() {
                    ids.extend_from_slice(codes);
                } else {
                    *ids = shared.intern_all(codes.iter().map(|code| dictionary.get(*code)))?;
                }
            }
            (KeyValues::Shared(shared), Vector::String(values)) => {
                *ids = shared.intern_all(values.iter().map(|value| Ok(value.as_deref().map(Cow::Borrowed))))?;
            }
            (KeyValues::String(interner), Vector::Codes { dictionary, codes }) => {
                // Few groups of a large dictionary are not worth a map.
                if codes.len() <= dictionary.cardinality() as usize / 64 {
                    return interner.intern_all(codes.iter().map(|code| dictionary.get(*code)), &mut |id| ids.push(id));
                }
                let mut map = vec![u32::MAX; dictionary.cardinality() as usize];
                let mut met = Vec::new();
                for code in codes {
                    let entry = map.get_mut(*code as usize).ok_or_else(|| DruidError::runtime("dictionary code out of range"))?;
                    if *entry == u32::MAX {
                        *entry = 0;
                        met.push(*code);
                    }
                }
                let mut order = met.iter();
                interner.intern_all(met.iter().map(|code| dictionary.get(*code)), &mut |id| {
                    map[*order.next().expect("as many numbers as codes") as usize] = id;
                })?;
                ids.extend(codes.iter().map(|code| map[*code as usize]));
            }
            (KeyValues::String(interner), Vector::String(values)) => {
                ids.extend(values.iter().map(|value| interner.intern(value.as_deref().map(str::as_bytes))));
            }
            (KeyValues::Long(interner), Vector::Long { values, nulls }) => {
                number_ids(interner, values.iter().map(|v| *v as u64), nulls.as_deref(), ids);
            }
            (KeyValues::Float(interner), Vector::Float { values, nulls }) => {
                number_ids(interner, values.iter().map(|v| float_bits(*v)), nulls.as_deref(), ids);
            }
            (KeyValues::Double(interner), Vector::Double { values, nulls }) => {
                number_ids(interner, values.iter().map(|v| double_bits(*v)), nulls.as_deref(), ids);
            }
            (KeyValues::Any { encoded, values, .. }, key) => {
                let mut bytes = Vec::new();
                for row in 0..key.len() {
                    let value = key.value(row);
                    bytes.clear();
                    encode_key(&value, &mut bytes);
                    let id = encoded.intern((!value.is_null()).then_some(bytes.as_slice()));
                    if id as usize == values.len() {
                        values.push(value);
                    }
                    ids.push(id);
                }
            }
            (_, Vector::Null { len }) => {
                let id = self.null_id();
                ids.resize(*len, id);
            }
            (_, key) => {
                // Types differ between segments: the first one met stays.
                let cast = key.clone().cast(&self.column_type().ok_or_else(|| DruidError::runtime("key without type"))?);
                if cast.column_type() != self.column_type() {
                    return Err(DruidError::runtime("key column of a partial result changed its type"));
                }
                return self.ids_of(&cast, ids);
            }
        }
        Ok(())
    }

    fn column_type(&self) -> Option<ColumnType> {
        match self {
            KeyValues::Unknown => None,
            KeyValues::Long(_) => Some(ColumnType::Long),
            KeyValues::Float(_) => Some(ColumnType::Float),
            KeyValues::Double(_) => Some(ColumnType::Double),
            KeyValues::String(_) | KeyValues::Shared(_) => Some(ColumnType::String),
            KeyValues::Any { column_type, .. } => Some(column_type.clone()),
        }
    }

    fn null_id(&mut self) -> u32 {
        match self {
            KeyValues::Unknown => 0,
            KeyValues::Long(i) | KeyValues::Float(i) | KeyValues::Double(i) => i.intern_null(),
            KeyValues::String(interner) => interner.intern(None),
            KeyValues::Shared(shared) => shared.null_id(),
            KeyValues::Any { encoded, values, .. } => {
                let id = encoded.intern(None);
                if id as usize == values.len() {
                    values.push(Value::Null);
                }
                id
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            KeyValues::Unknown | KeyValues::Shared(_) => 0,
            KeyValues::Long(i) | KeyValues::Float(i) | KeyValues::Double(i) => i.memory_bytes(),
            KeyValues::String(interner) => interner.memory_bytes(),
            KeyValues::Any { encoded, values, .. } => encoded.memory_bytes() * 2 + values.capacity() * size_of::<Value>(),
        }
    }

    fn into_vector(self, ids: Vec<u32>) -> Vector {
        match self {
            KeyValues::Unknown => Vector::Null { len: ids.len() },
            KeyValues::Long(i) => number_vector(&i, &ids, |bits| bits as i64, |values, nulls| Vector::Long { values, nulls }),
            KeyValues::Float(i) => {
                number_vector(&i, &ids, |bits| f32::from_bits(bits as u32), |values, nulls| Vector::Float { values, nulls })
            }
            KeyValues::Double(i) => number_vector(&i, &ids, f64::from_bits, |values, nulls| Vector::Double { values, nulls }),
            KeyValues::String(interner) => Vector::Codes { dictionary: Arc::new(interner), codes: ids },
            KeyValues::Shared(dictionary) => Vector::Codes { dictionary, codes: ids },
            KeyValues::Any { column_type, values, .. } => {
                Vector::Any { column_type, values: ids.iter().map(|id| values[*id as usize].clone()).collect() }
            }
        }
    }
}

/// Bits of a double as a key: -0.0 is 0.0, as Druid's grouping by value has it, and all NaNs are one.
pub(crate) fn double_bits(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// The same for a float.
pub(crate) fn float_bits(value: f32) -> u64 {
    u64::from(if value == 0.0 {
        0
    } else if value.is_nan() {
        f32::NAN.to_bits()
    } else {
        value.to_bits()
    })
}

fn number_ids(interner: &mut NumberInterner, bits: impl Iterator<Item = u64>, nulls: Option<&[bool]>, ids: &mut Vec<u32>) {
    match nulls {
        None => ids.extend(bits.map(|bits| interner.intern(bits))),
        Some(nulls) => {
            ids.extend(bits.zip(nulls).map(|(bits, null)| if *null { interner.intern_null() } else { interner.intern(bits) }));
        }
    }
}

/// Values of ids as a vector of numbers.
pub(crate) fn number_vector<T: Default>(
    interner: &NumberInterner,
    ids: &[u32],
    of_bits: impl Fn(u64) -> T,
    make: impl FnOnce(Vec<T>, Option<Vec<bool>>) -> Vector,
) -> Vector {
    let mut nulls = None;
    let mut values = Vec::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        match interner.get(*id) {
            Some(bits) => values.push(of_bits(bits)),
            None => {
                nulls.get_or_insert_with(|| vec![false; ids.len()])[row] = true;
                values.push(T::default());
            }
        }
    }
    make(values, nulls)
}
