//! What an incremental index keeps of the rows it is given: dimensions, metrics, query granularity, rollup, discovery.
//! Druid's `DimensionsSpec` and `IncrementalIndexSchema`.

use std::collections::HashSet;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::ColumnType;
use ovate_compute::aggregate::AggregatorSpec;
use serde_json::{Value as Json, json};

/// `DimensionSchema.MultiValueHandling`: what becomes of a row's several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiValueHandling {
    #[default]
    SortedArray,
    SortedSet,
    Array,
}

/// How a dimension is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum DimensionKind {
    String {
        multi_value_handling: MultiValueHandling,
        create_bitmap_index: bool,
        /// `maxStringLength`: longer values are cut to so many characters.
        max_string_length: Option<usize>,
    },
    Long,
    Float,
    Double,
    /// `auto`: typed by what arrives, or cast to `cast_to` (`AutoTypeColumnSchema`).
    Auto {
        cast_to: Option<ColumnType>,
    },
    /// `json`: nested data, `COMPLEX<json>` whatever arrives (`NestedDataColumnSchema`).
    Json,
}

/// One entry of `dimensionsSpec.dimensions`.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionSchema {
    pub name: Arc<str>,
    pub kind: DimensionKind,
}

impl DimensionKind {
    /// A string dimension with Druid's defaults.
    pub const STRING: DimensionKind = DimensionKind::String {
        multi_value_handling: MultiValueHandling::SortedArray,
        create_bitmap_index: true,
        max_string_length: None,
    };
}

impl DimensionSchema {
    /// A dimension of this kind.
    pub fn new(name: &str, kind: DimensionKind) -> Self {
        DimensionSchema { name: Arc::from(name), kind }
    }

    /// A plain string dimension.
    pub fn string(name: &str) -> Self {
        Self::new(name, DimensionKind::STRING)
    }

    /// Reads `"name"` or `{"type":…,"name":…}` (SCH-03).
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Some(name) = json.as_str() {
            return Ok(Self::string(name));
        }
        let name = json
            .get("name")
            .and_then(Json::as_str)
            .ok_or_else(|| DruidError::invalid_input(format!("dimension schema without a name: {json}")))?;
        let kind = match json.get("type").and_then(Json::as_str).unwrap_or("string") {
            "string" | "STRING" => parse_string(json)?,
            "long" | "LONG" => DimensionKind::Long,
            "float" | "FLOAT" => DimensionKind::Float,
            "double" | "DOUBLE" => DimensionKind::Double,
            "auto" => DimensionKind::Auto {
                cast_to: match json.get("castToType").and_then(Json::as_str) {
                    Some(text) => Some(ColumnType::parse(text)?),
                    None => None,
                },
            },
            "json" => DimensionKind::Json,
            "spatial" => return Err(DruidError::unsupported("dimension type [spatial] is not supported")),
            other => return Err(DruidError::invalid_input(format!("unknown dimension type [{other}] of dimension [{name}]"))),
        };
        Ok(Self::new(name, kind))
    }

    /// The JSON that Druid writes for this dimension.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            DimensionKind::String { multi_value_handling, create_bitmap_index, max_string_length } => {
                let handling = match multi_value_handling {
                    MultiValueHandling::SortedArray => "SORTED_ARRAY",
                    MultiValueHandling::SortedSet => "SORTED_SET",
                    MultiValueHandling::Array => "ARRAY",
                };
                let mut json = json!({"type": "string", "name": &*self.name, "multiValueHandling": handling,
                    "createBitmapIndex": create_bitmap_index});
                if let Some(length) = max_string_length {
                    json["maxStringLength"] = (*length).into();
                }
                json
            }
            DimensionKind::Long => self.numeric_json("long"),
            DimensionKind::Float => self.numeric_json("float"),
            DimensionKind::Double => self.numeric_json("double"),
            DimensionKind::Auto { cast_to } => {
                let mut json = json!({"type": "auto", "name": &*self.name, "multiValueHandling": "SORTED_ARRAY",
                    "createBitmapIndex": true});
                if let Some(cast_to) = cast_to {
                    json["castToType"] = cast_to.to_string().into();
                }
                json
            }
            DimensionKind::Json => json!({"type": "json", "name": &*self.name, "formatVersion": 5,
                "multiValueHandling": "SORTED_ARRAY", "createBitmapIndex": true}),
        }
    }

    fn numeric_json(&self, kind: &str) -> Json {
        json!({"type": kind, "name": &*self.name, "multiValueHandling": "SORTED_ARRAY", "createBitmapIndex": false})
    }
}

/// `createBitmapIndex` and the like may stand in the schema itself or in its `columnFormatSpec`.
fn parse_string(json: &Json) -> Result<DimensionKind> {
    let null = Json::Null;
    let format = json.get("columnFormatSpec").unwrap_or(&null);
    let get = |name: &str| json.get(name).filter(|v| !v.is_null()).or_else(|| format.get(name).filter(|v| !v.is_null()));
    let no_index = match format.get("indexType").and_then(|index| index.get("type")).and_then(Json::as_str) {
        None | Some("dictionaryEncodedValueIndex") => false,
        Some("none") => true,
        Some(other) => return Err(DruidError::unsupported(format!("string indexType [{other}] is not supported"))),
    };
    Ok(DimensionKind::String {
        multi_value_handling: parse_handling(get("multiValueHandling"))?,
        create_bitmap_index: !no_index && json.get("createBitmapIndex").and_then(Json::as_bool).unwrap_or(true),
        max_string_length: get("maxStringLength").and_then(Json::as_u64).map(|n| n as usize),
    })
}

fn parse_handling(json: Option<&Json>) -> Result<MultiValueHandling> {
    match json.and_then(Json::as_str).map(str::to_ascii_uppercase).as_deref() {
        None | Some("SORTED_ARRAY") => Ok(MultiValueHandling::SortedArray),
        Some("SORTED_SET") => Ok(MultiValueHandling::SortedSet),
        Some("ARRAY") => Ok(MultiValueHandling::Array),
        Some(other) => Err(DruidError::invalid_input(format!("unknown multiValueHandling [{other}]"))),
    }
}

/// What becomes of input fields that are neither dimension nor excluded (SCH-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// They are left out.
    #[default]
    Off,
    /// They become string dimensions.
    Strings,
    /// They become `auto` dimensions (`useSchemaDiscovery`).
    Auto,
}

/// Schema of an incremental index.
#[derive(Debug, Clone)]
pub struct IndexSchema {
    pub dimensions: Vec<DimensionSchema>,
    pub metrics: Vec<AggregatorSpec>,
    /// Timestamps are truncated to this as they arrive.
    pub query_granularity: Granularity,
    /// Truncated timestamps are not before this, the start of the segment's interval.
    pub min_timestamp: i64,
    pub rollup: bool,
    pub discovery: Discovery,
    /// Fields that discovery leaves out: `dimensionExclusions`, the timestamp column, inputs of metrics.
    pub exclusions: HashSet<String>,
    /// `timestampSpec` for the segment's metadata.
    pub timestamp_spec: Option<Json>,
}

impl Default for IndexSchema {
    fn default() -> Self {
        IndexSchema {
            dimensions: Vec::new(),
            metrics: Vec::new(),
            query_granularity: Granularity::None,
            min_timestamp: i64::MIN,
            rollup: false,
            discovery: Discovery::Off,
            exclusions: HashSet::new(),
            timestamp_spec: None,
        }
    }
}
