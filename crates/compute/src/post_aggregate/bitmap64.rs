//! `bitmap64ExactCount` (`Bitmap64ExactCountPostAggregator`): how many numbers a `Bitmap64ExactCount` has, by `fieldName` or `field`.

use ovate_base::Result;
use serde_json::json;

use super::PostAggregatorSpec;
use super::sketched::build;
use crate::aggregate::bitmap64::count;
use crate::aggregate::json::Fields;
use crate::types::ColumnType;

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let inner = match fields.get("field") {
        Some(field) => PostAggregatorSpec::from_json(field)?,
        None => PostAggregatorSpec::from_json(&json!({"type": "fieldAccess", "fieldName": fields.string("fieldName")?}))?,
    };
    build(fields, vec![inner], ColumnType::Long, Box::new(|sketches| count(sketches[0])))
}
