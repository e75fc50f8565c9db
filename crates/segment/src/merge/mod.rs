//! Merges persisted segments into one (`IndexMergerV9.merge`).
//!
//! Being filled in: `merge(inputs: &[Arc<dyn ColumnSource>], schema: &MergeSchema, spec: &IndexSpec, dir: &Path) -> Result<WriteReport>`,
//! where `MergeSchema` is made with `MergeSchema::of(&IndexSchema)`.
