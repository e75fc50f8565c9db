//! `dimensionsSpec` and its rules of discovery (SCH-02, SCH-03, SCH-10; `DimensionsSpec`, `MapInputRowParser.findDimensions`).

use std::collections::HashSet;

use ovate_base::{DruidError, Result};
use ovate_segment::incremental::{DimensionSchema, Discovery};
use serde_json::{Value, json};

use super::fields::Fields;

/// Checked `dimensionsSpec`.
#[derive(Debug, Clone, Default)]
pub struct DimensionsSpec {
    pub dimensions: Vec<DimensionSchema>,
    pub exclusions: Vec<String>,
    pub include_all: bool,
    pub use_schema_discovery: bool,
}

const DIMENSION_KEYS: [&str; 9] = [
    "type",
    "name",
    "multiValueHandling",
    "createBitmapIndex",
    "castToType",
    "maxStringLength",
    "formatVersion",
    "columnFormatSpec",
    "formatSpec",
];

impl DimensionsSpec {
    /// Reads the spec; an absent one discovers strings.
    pub fn from_json(json: Option<&Value>) -> Result<DimensionsSpec> {
        let Some(json) = json else { return Ok(DimensionsSpec::default()) };
        let fields = Fields::new(json, "dimensionsSpec")?;
        let mut names = HashSet::new();
        let mut dimensions = Vec::new();
        for entry in fields.list("dimensions")? {
            let dimension = dimension(entry)?;
            if !names.insert(dimension.name.clone()) {
                return Err(DruidError::invalid_input(format!(
                    "dimension [{}] stands twice in [dimensionsSpec]",
                    dimension.name
                )));
            }
            dimensions.push(dimension);
        }
        fields.refuse(&["spatialDimensions"])?;
        if !fields.flag("forceSegmentSortByTime", true)? {
            return Err(DruidError::unsupported("[forceSegmentSortByTime] false in [dimensionsSpec] is not supported"));
        }
        let spec = DimensionsSpec {
            dimensions,
            exclusions: fields.texts("dimensionExclusions")?.unwrap_or_default(),
            include_all: fields.flag("includeAllDimensions", false)?,
            use_schema_discovery: fields.flag("useSchemaDiscovery", false)?,
        };
        fields.finish()?;
        if let Some(both) = spec.dimensions.iter().find(|d| &*d.name != "__time" && spec.exclusions.iter().any(|e| *e == *d.name))
        {
            return Err(DruidError::invalid_input(format!("dimension [{}] is also in [dimensionExclusions]", both.name)));
        }
        Ok(spec)
    }

    /// What becomes of fields that are not listed.
    pub fn discovery(&self) -> Discovery {
        // Schema discovery adds to listed dimensions (`MapInputRowParser.findDimensions`).
        match (self.dimensions.is_empty() || self.include_all || self.use_schema_discovery, self.use_schema_discovery) {
            (false, _) => Discovery::Off,
            (true, false) => Discovery::Strings,
            (true, true) => Discovery::Auto,
        }
    }

    /// The form that Druid writes.
    pub fn to_json(&self) -> Value {
        json!({"dimensions": self.dimensions.iter().map(DimensionSchema::to_json).collect::<Vec<_>>(),
               "dimensionExclusions": self.exclusions, "includeAllDimensions": self.include_all,
               "useSchemaDiscovery": self.use_schema_discovery})
    }
}

fn dimension(json: &Value) -> Result<DimensionSchema> {
    if let Some(object) = json.as_object() {
        if let Some(key) = object.keys().find(|key| !DIMENSION_KEYS.contains(&key.as_str())) {
            return Err(DruidError::invalid_input(format!("unknown property [{key}] in dimension {json}")));
        }
        if object.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(DruidError::invalid_input(format!("dimension without a name: {json}")));
        }
        for key in ["columnFormatSpec", "formatSpec"] {
            if object.get(key).is_some_and(|v| !v.is_null()) {
                return Err(DruidError::unsupported(format!("[{key}] of dimensions is not supported")));
            }
        }
    }
    DimensionSchema::from_json(json)
}
