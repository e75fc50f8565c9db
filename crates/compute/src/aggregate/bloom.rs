//! `bloom` (`BloomFilterAggregatorFactory`): the distinct values of a dimension as Hive's `BloomKFilter`, which the
//! `bloom` filter takes. Query time only. Bytes: `u8` hash functions, `u32be` longs, the longs big endian.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use super::json::Fields;
use super::sketched::{SketchKind, SketchState};
use super::{Aggregator, AggregatorFactory, AggregatorSpec};
use crate::column::ColumnSource;
use crate::context::EvalContext;
use crate::dimension::DimensionSpec;
use crate::filter::bloom::{BLOCK_WORDS, NULL_HASH, murmur3_64};
use crate::types::ColumnType;

#[derive(Debug, Clone)]
struct Bloom {
    name: String,
    field: DimensionSpec,
    max_num_entries: u32,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let max_num_entries = match fields.long("maxNumEntries", 1500)? {
        entries @ 1..=100_000_000 => entries as u32,
        _ => return Err(fields.bad("maxNumEntries", "must be positive")),
    };
    let field = DimensionSpec::from_json(fields.require("field")?)?;
    Ok(AggregatorSpec::new(Bloom { name: fields.string("name")?.to_owned(), field, max_num_entries }))
}

impl Bloom {
    fn kind(&self) -> BloomKind {
        // Hive's sizing for a false positive rate of 0.05, padded to whole blocks.
        let entries = f64::from(self.max_num_entries);
        let ln2 = std::f64::consts::LN_2;
        let bits = (-entries * 0.05f64.ln() / (ln2 * ln2)).floor();
        let hash_functions = (bits / entries * ln2).round().max(1.0) as u8;
        let longs = (bits / 64.0).ceil() as usize;
        BloomKind { hash_functions, words: longs + BLOCK_WORDS - longs % BLOCK_WORDS }
    }
}

impl AggregatorFactory for Bloom {
    fn name(&self) -> &str {
        &self.name
    }
    fn to_json(&self) -> Json {
        json!({"type": "bloom", "name": self.name, "field": self.field.to_json(), "maxNumEntries": self.max_num_entries})
    }
    fn required_columns(&self) -> Vec<String> {
        vec![self.field.dimension().to_owned()]
    }
    fn bind(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Box<dyn Aggregator>> {
        SketchState::boxed(self.kind(), vec![self.field.column(source, context)?])
    }
    fn merger(&self) -> Result<Box<dyn Aggregator>> {
        SketchState::boxed(self.kind(), Vec::new())
    }
    fn combining(&self) -> AggregatorSpec {
        AggregatorSpec::new(Bloom { field: DimensionSpec::plain(&self.name), ..self.clone() })
    }
    fn with_name(&self, name: &str) -> AggregatorSpec {
        AggregatorSpec::new(Bloom { name: name.to_owned(), ..self.clone() })
    }
    fn intermediate_type(&self) -> ColumnType {
        ColumnType::complex("bloom")
    }
    fn result_type(&self) -> ColumnType {
        ColumnType::complex("bloom")
    }
}

#[derive(Clone)]
struct BloomKind {
    hash_functions: u8,
    words: usize,
}

impl SketchKind for BloomKind {
    type State = Vec<u64>;
    type Item = u64;
    const IDEMPOTENT: bool = true;
    fn column_type(&self) -> &'static str {
        "bloom"
    }
    fn empty(&self) -> Result<Vec<u64>> {
        Ok(vec![0; self.words])
    }
    fn null(&self) -> Option<u64> {
        Some(NULL_HASH)
    }
    fn text(&self, value: &str) -> Option<u64> {
        Some(murmur3_64(value.as_bytes()))
    }
    fn long(&self, value: i64) -> Option<u64> {
        Some(murmur3_64(&value.to_le_bytes()))
    }
    fn double(&self, value: f64) -> Option<u64> {
        Some(murmur3_64(&value.to_bits().to_le_bytes()))
    }
    fn float(&self, value: f32) -> Option<u64> {
        Some(murmur3_64(&value.to_bits().to_le_bytes()))
    }
    fn update(&self, state: &mut Vec<u64>, hash: u64) {
        let (first, second) = (hash as u32 as i32, (hash >> 32) as u32 as i32);
        let non_negative = |hash: i32| if hash < 0 { !hash } else { hash } as usize;
        let block = non_negative(first.wrapping_add(second)) % (self.words / BLOCK_WORDS) * BLOCK_WORDS;
        for i in 1..=i32::from(self.hash_functions) {
            let combined = non_negative(first.wrapping_add(i.wrapping_add(1).wrapping_mul(second)));
            state[block + (combined & 7)] |= 1 << ((combined >> 3) & 63);
        }
    }
    fn merge(&self, state: &mut Vec<u64>, bytes: &[u8]) -> Result<()> {
        let bytes = bytes.get(5..).filter(|bytes| bytes.len() == self.words * 8);
        let bytes = bytes.ok_or_else(|| DruidError::runtime("bloom filters of different sizes do not merge"))?;
        for (word, bytes) in state.iter_mut().zip(bytes.chunks_exact(8)) {
            *word |= u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
        }
        Ok(())
    }
    fn encode(&self, state: &Vec<u64>) -> Vec<u8> {
        let mut bytes = vec![self.hash_functions];
        bytes.extend_from_slice(&(state.len() as u32).to_be_bytes());
        state.iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
        bytes
    }
    fn memory_bytes(&self, state: &Vec<u64>) -> usize {
        state.capacity() * 8
    }
}
