//! A source whose rows are rows of another, by number: some of them, some of them several times, or, on the right of a
//! left join, none (which reads as null).

use std::borrow::Cow;
use std::sync::Arc;

use indexmap::IndexMap;
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::{
    Column, ColumnCapabilities, ColumnReader, ColumnSource, ColumnType, Dictionary, MultiCodes, Numbers, Rows, Value,
};

/// The row number that stands for "no row".
pub(super) const NO_ROW: u32 = u32::MAX;

/// Row `i` is row `map[i]` of the column it was made from.
pub(super) struct MappedColumn {
    base: Arc<dyn Column>,
    map: Arc<Vec<u32>>,
    /// Some rows are [`NO_ROW`].
    nullable: bool,
}

impl MappedColumn {
    pub fn new(base: Arc<dyn Column>, map: Arc<Vec<u32>>, nullable: bool) -> Self {
        MappedColumn { base, map, nullable }
    }

    /// The code of null, where rows may be missing.
    fn null_code(&self) -> Result<u32> {
        match self.base.dictionary() {
            Some(dictionary) => Ok(dictionary.find(None)?.unwrap_or(dictionary.cardinality())),
            None => Ok(0),
        }
    }
}

impl Column for MappedColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        let base = self.base.capabilities();
        ColumnCapabilities { bitmaps: false, has_nulls: base.has_nulls || self.nullable, ..base }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        Ok(Box::new(MappedReader {
            base: self.base.reader()?,
            column_type: self.base.capabilities().column_type,
            map: self.map.clone(),
            null_code: self.null_code()?,
            asked: Vec::new(),
            places: Vec::new(),
            longs: Vec::new(),
            floats: Vec::new(),
            doubles: Vec::new(),
            nulls: Vec::new(),
            codes: Vec::new(),
            offsets: Vec::new(),
            values: Vec::new(),
        }))
    }

    fn dictionary(&self) -> Option<Arc<dyn Dictionary>> {
        let dictionary = self.base.dictionary()?;
        if !self.nullable || matches!(dictionary.find(None), Ok(Some(_))) {
            return Some(dictionary);
        }
        Some(Arc::new(NullAtEnd(dictionary)))
    }
}

/// A dictionary with one more code, for null, at the end.
struct NullAtEnd(Arc<dyn Dictionary>);

impl Dictionary for NullAtEnd {
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

struct MappedReader {
    base: Box<dyn ColumnReader>,
    column_type: ColumnType,
    map: Arc<Vec<u32>>,
    null_code: u32,
    /// Base rows of a batch, ascending, each once.
    asked: Vec<u32>,
    /// For each row of the batch its place in `asked`, or [`NO_ROW`].
    places: Vec<u32>,
    longs: Vec<i64>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    nulls: Vec<bool>,
    codes: Vec<u32>,
    offsets: Vec<u32>,
    values: Vec<Value>,
}

impl MappedReader {
    /// Works out which base rows a batch needs. Readers want them ascending and each once.
    fn locate(&mut self, rows: &Rows<'_>) {
        let map = &self.map;
        self.places.clear();
        match rows {
            Rows::Range(range) => self.places.extend_from_slice(&map[range.start as usize..range.end as usize]),
            Rows::Ids(ids) => self.places.extend(ids.iter().map(|id| map[*id as usize])),
        }
        self.asked.clear();
        self.asked.extend(self.places.iter().filter(|row| **row != NO_ROW));
        if !self.asked.is_sorted() {
            self.asked.sort_unstable();
        }
        self.asked.dedup();
        let asked = &self.asked;
        let mut at = 0;
        for place in &mut self.places {
            if *place == NO_ROW {
                continue;
            }
            // Mostly the same row again or the next one.
            if asked.get(at) != Some(place) {
                at = match asked.get(at + 1) {
                    Some(next) if next == place => at + 1,
                    _ => asked.binary_search(place).unwrap_or(0),
                };
            }
            *place = at as u32;
        }
    }
}

fn spread<'a, T: Copy + Default>(
    own: Numbers<'_, T>,
    places: &[u32],
    values: &'a mut Vec<T>,
    nulls: &'a mut Vec<bool>,
) -> Numbers<'a, T> {
    values.clear();
    nulls.clear();
    let mut any = false;
    for place in places {
        let null = *place == NO_ROW || own.nulls.is_some_and(|n| n[*place as usize]);
        values.push(if null { T::default() } else { own.values[*place as usize] });
        nulls.push(null);
        any |= null;
    }
    Numbers { values, nulls: any.then_some(nulls.as_slice()) }
}

impl ColumnReader for MappedReader {
    fn longs(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, i64>> {
        self.locate(&rows);
        let own = self.base.longs(Rows::Ids(&self.asked))?;
        Ok(spread(own, &self.places, &mut self.longs, &mut self.nulls))
    }

    fn floats(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f32>> {
        self.locate(&rows);
        let own = self.base.floats(Rows::Ids(&self.asked))?;
        Ok(spread(own, &self.places, &mut self.floats, &mut self.nulls))
    }

    fn doubles(&mut self, rows: Rows<'_>) -> Result<Numbers<'_, f64>> {
        self.locate(&rows);
        let own = self.base.doubles(Rows::Ids(&self.asked))?;
        Ok(spread(own, &self.places, &mut self.doubles, &mut self.nulls))
    }

    fn codes(&mut self, rows: Rows<'_>) -> Result<&[u32]> {
        self.locate(&rows);
        let own = self.base.codes(Rows::Ids(&self.asked))?;
        self.codes.clear();
        let null_code = self.null_code;
        self.codes.extend(self.places.iter().map(|p| if *p == NO_ROW { null_code } else { own[*p as usize] }));
        Ok(&self.codes)
    }

    fn multi_codes(&mut self, rows: Rows<'_>) -> Result<MultiCodes<'_>> {
        self.locate(&rows);
        let own = self.base.multi_codes(Rows::Ids(&self.asked))?;
        self.codes.clear();
        self.offsets.clear();
        self.offsets.push(0);
        for place in &self.places {
            if *place != NO_ROW {
                let (start, end) = (own.offsets[*place as usize], own.offsets[*place as usize + 1]);
                self.codes.extend_from_slice(&own.codes[start as usize..end as usize]);
            }
            self.offsets.push(self.codes.len() as u32);
        }
        Ok(MultiCodes { offsets: &self.offsets, codes: &self.codes })
    }

    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.locate(&rows);
        if self.asked.is_empty() {
            self.values.clear();
            self.values.resize(self.places.len(), Value::Null);
            return Ok(&self.values);
        }
        let own = self.base.values(Rows::Ids(&self.asked))?;
        if own.len() != self.asked.len() {
            return Err(DruidError::runtime(format!("a column of type {} gave a wrong number of rows", self.column_type)));
        }
        self.values.clear();
        self.values.extend(self.places.iter().map(|p| if *p == NO_ROW { Value::Null } else { own[*p as usize].clone() }));
        Ok(&self.values)
    }
}

/// A source over rows of another, perhaps with columns of its own.
pub(super) struct MappedSource {
    pub base: Arc<dyn ColumnSource>,
    /// Ascending; a row may come several times.
    pub map: Arc<Vec<u32>>,
    /// Columns beside the base's; they hide the base's of the same name.
    pub extra: IndexMap<String, Arc<dyn Column>>,
}

impl ColumnSource for MappedSource {
    fn row_count(&self) -> u32 {
        self.map.len() as u32
    }

    fn column_names(&self) -> Vec<String> {
        let mut names = self.base.column_names();
        names.extend(self.extra.keys().filter(|name| self.base.capabilities(name).is_none()).cloned());
        names
    }

    fn capabilities(&self, name: &str) -> Option<ColumnCapabilities> {
        match self.extra.get(name) {
            Some(column) => Some(column.capabilities()),
            None => self.base.capabilities(name).map(|own| ColumnCapabilities { bitmaps: false, ..own }),
        }
    }

    fn column(&self, name: &str) -> Result<Option<Arc<dyn Column>>> {
        if let Some(column) = self.extra.get(name) {
            return Ok(Some(column.clone()));
        }
        let mapped = |base| Arc::new(MappedColumn::new(base, self.map.clone(), false)) as Arc<dyn Column>;
        Ok(self.base.column(name)?.map(mapped))
    }

    fn interval(&self) -> Interval {
        self.base.interval()
    }

    fn is_time_sorted(&self) -> bool {
        self.base.is_time_sorted()
    }
}

/// Row numbers have 32 bits, and the last one means "no row".
pub(super) fn check_row_count(rows: usize, what: &str) -> Result<()> {
    if rows >= NO_ROW as usize {
        return Err(DruidError::resource_limit(format!("{what} gives more than {NO_ROW} rows of one segment")));
    }
    Ok(())
}
