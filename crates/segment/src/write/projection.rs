//! Projections behind the columns of a written segment (`IndexMergerV9.makeProjections`): their files and a new `metadata.drd` go
//! into further chunks, and the table of contents is written anew. Grouping columns that the segment has as text columns share
//! its dictionaries.

use std::path::Path;

use ovate_base::{DruidError, Result};
use serde_json::Value as Json;

use super::IndexSpec;
use super::column::{self, EncodedColumn};
use super::data::ColumnData;
use super::smoosh::Smoosher;
use super::string;

/// One column of a projection.
pub enum ProjectionColumn {
    Own(ColumnData),
    /// Codes of the dictionary of the segment's column of this name, which has so many.
    Shared {
        codes: Vec<u32>,
        cardinality: usize,
    },
}

/// The rows of one projection, in its order.
pub struct ProjectionRows {
    pub name: String,
    /// `AggregateProjectionMetadata.Schema`.
    pub schema: Json,
    pub row_count: u32,
    pub columns: Vec<(String, ProjectionColumn)>,
}

/// Adds projections to the segment in `dir`, which has none; gives the bytes of all its files.
pub fn append_projections(dir: &Path, projections: &[ProjectionRows], spec: &IndexSpec) -> Result<u64> {
    let (mut smoosher, metadata) = Smoosher::reopen(dir)?;
    let mut metadata: Json =
        serde_json::from_slice(&metadata).map_err(|e| DruidError::runtime(format!("metadata of a written segment: {e}")))?;
    let mut listed = Vec::with_capacity(projections.len());
    for projection in projections {
        for (name, data) in &projection.columns {
            let stored = format!("{}/{name}", projection.name);
            let encoded: EncodedColumn = match data {
                ProjectionColumn::Own(data) => column::encode(&stored, data, spec)?,
                ProjectionColumn::Shared { codes, cardinality } => string::encode_shared(&stored, codes, *cardinality, spec)?,
            };
            encoded.files.iter().try_for_each(|(name, bytes)| smoosher.add(name, bytes))?;
        }
        listed.push(serde_json::json!({"type": "aggregate", "schema": projection.schema, "numRows": projection.row_count}));
    }
    metadata["projections"] = Json::Array(listed);
    smoosher.replace("metadata.drd", metadata.to_string().as_bytes())?;
    smoosher.finish()
}
