//! Dimension specs (features DIM-01..04): which column a query groups or selects by, its output name and type, and what
//! is done to its values on the way.

use std::sync::Arc;

use hashbrown::HashSet;
use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use crate::column::{Column, ColumnSource, ComputedColumn, Mapped, MappedColumn, MemoryColumn};
use crate::context::EvalContext;
use crate::doc::Doc;
use crate::extraction::{BoundExtraction, ExtractionFn, LookupRef};
use crate::types::ColumnType;
use crate::value::Value;
use crate::vector::Vector;

/// A dimension as a user writes it (`DimensionSpec`).
#[derive(Debug, Clone, PartialEq)]
pub enum DimensionSpec {
    Default {
        dimension: String,
        output_name: String,
        output_type: ColumnType,
    },
    Extraction {
        dimension: String,
        output_name: String,
        output_type: ColumnType,
        extraction: ExtractionFn,
    },
    /// `lookup`: by name, or with an inline map.
    Lookup {
        dimension: String,
        output_name: String,
        lookup: LookupRef,
        retain_missing: bool,
        replacement: Option<Arc<str>>,
        optimize: bool,
    },
    ListFiltered {
        delegate: Box<DimensionSpec>,
        values: Arc<[Option<Arc<str>>]>,
        is_whitelist: bool,
    },
    RegexFiltered {
        delegate: Box<DimensionSpec>,
        pattern: String,
    },
    PrefixFiltered {
        delegate: Box<DimensionSpec>,
        prefix: String,
    },
}

impl DimensionSpec {
    /// A plain column under its own name.
    pub fn plain(dimension: &str) -> Self {
        DimensionSpec::Default {
            dimension: dimension.to_owned(),
            output_name: dimension.to_owned(),
            output_type: ColumnType::String,
        }
    }

    /// Reads a column name or a dimension spec document.
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Json::String(name) = json {
            return Ok(Self::plain(name));
        }
        let doc = Doc::new("dimension spec", json)?;
        let delegate = || Self::from_json(doc.required("delegate")?).map(Box::new);
        let names = || -> Result<(String, String)> {
            let dimension = doc.text("dimension")?.to_owned();
            let output_name = doc.optional_text("outputName")?.unwrap_or_else(|| dimension.clone());
            Ok((dimension, output_name))
        };
        let output_type = || Ok::<_, DruidError>(doc.optional_type("outputType")?.unwrap_or(ColumnType::String));
        Ok(match doc.optional_text("type")?.as_deref().unwrap_or("default") {
            // Druid writes a dimension that was given by name alone under its class name.
            "default" | "LegacyDimensionSpec" => {
                let (dimension, output_name) = names()?;
                DimensionSpec::Default { dimension, output_name, output_type: output_type()? }
            }
            "extraction" => {
                let (dimension, output_name) = names()?;
                let extraction = ExtractionFn::from_json(doc.required("extractionFn")?)?;
                DimensionSpec::Extraction { dimension, output_name, output_type: output_type()?, extraction }
            }
            "lookup" => {
                let (dimension, output_name) = names()?;
                let lookup = match (doc.get("lookup"), doc.optional_text("name")?) {
                    (Some(map), None) => crate::extraction::inline_lookup(map)?,
                    (None, Some(name)) => LookupRef::Registered(name),
                    _ => return Err(DruidError::invalid_input("dimension spec [lookup] needs either [lookup] or [name]")),
                };
                DimensionSpec::Lookup {
                    dimension,
                    output_name,
                    lookup,
                    retain_missing: doc.boolean("retainMissingValue", false)?,
                    replacement: doc.optional_text("replaceMissingValueWith")?.map(Arc::from),
                    optimize: doc.boolean("optimize", true)?,
                }
            }
            "listFiltered" => DimensionSpec::ListFiltered {
                delegate: delegate()?,
                values: crate::doc::texts(doc.list("values")?).into(),
                is_whitelist: doc.boolean("isWhitelist", true)?,
            },
            "regexFiltered" => DimensionSpec::RegexFiltered { delegate: delegate()?, pattern: doc.text("pattern")?.to_owned() },
            "prefixFiltered" => DimensionSpec::PrefixFiltered { delegate: delegate()?, prefix: doc.text("prefix")?.to_owned() },
            other => return Err(doc.unknown_type(other)),
        })
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        match self {
            DimensionSpec::Default { dimension, output_name, output_type } => {
                json!({"type": "default", "dimension": dimension, "outputName": output_name, "outputType": output_type.to_string()})
            }
            DimensionSpec::Extraction { dimension, output_name, output_type, extraction } => json!({
                "type": "extraction", "dimension": dimension, "outputName": output_name, "outputType": output_type.to_string(),
                "extractionFn": extraction.to_json()
            }),
            DimensionSpec::Lookup { dimension, output_name, lookup, retain_missing, replacement, optimize } => {
                let mut json = json!({"type": "lookup", "dimension": dimension, "outputName": output_name,
                    "retainMissingValue": retain_missing, "optimize": optimize});
                if let Some(replacement) = replacement {
                    json["replaceMissingValueWith"] = replacement.as_ref().into();
                }
                match lookup {
                    LookupRef::Registered(name) => json["name"] = name.as_str().into(),
                    LookupRef::Inline(map) => json["lookup"] = crate::extraction::inline_lookup_json(map),
                }
                json
            }
            DimensionSpec::ListFiltered { delegate, values, is_whitelist } => {
                let values: Vec<Json> = values.iter().map(crate::doc::text_or_null).collect();
                json!({"type": "listFiltered", "delegate": delegate.to_json(), "values": values, "isWhitelist": is_whitelist})
            }
            DimensionSpec::RegexFiltered { delegate, pattern } => {
                json!({"type": "regexFiltered", "delegate": delegate.to_json(), "pattern": pattern})
            }
            DimensionSpec::PrefixFiltered { delegate, prefix } => {
                json!({"type": "prefixFiltered", "delegate": delegate.to_json(), "prefix": prefix})
            }
        }
    }

    /// The column that is read.
    pub fn dimension(&self) -> &str {
        match self {
            DimensionSpec::Default { dimension, .. }
            | DimensionSpec::Extraction { dimension, .. }
            | DimensionSpec::Lookup { dimension, .. } => dimension,
            DimensionSpec::ListFiltered { delegate, .. }
            | DimensionSpec::RegexFiltered { delegate, .. }
            | DimensionSpec::PrefixFiltered { delegate, .. } => delegate.dimension(),
        }
    }

    /// The name of the output.
    pub fn output_name(&self) -> &str {
        match self {
            DimensionSpec::Default { output_name, .. }
            | DimensionSpec::Extraction { output_name, .. }
            | DimensionSpec::Lookup { output_name, .. } => output_name,
            DimensionSpec::ListFiltered { delegate, .. }
            | DimensionSpec::RegexFiltered { delegate, .. }
            | DimensionSpec::PrefixFiltered { delegate, .. } => delegate.output_name(),
        }
    }

    /// The type that the user wants; STRING when not said.
    pub fn output_type(&self) -> ColumnType {
        match self {
            DimensionSpec::Default { output_type, .. } | DimensionSpec::Extraction { output_type, .. } => output_type.clone(),
            DimensionSpec::Lookup { .. } => ColumnType::String,
            DimensionSpec::ListFiltered { delegate, .. }
            | DimensionSpec::RegexFiltered { delegate, .. }
            | DimensionSpec::PrefixFiltered { delegate, .. } => delegate.output_type(),
        }
    }

    /// The extraction function that is applied to the column, if any.
    pub fn extraction(&self, context: &EvalContext) -> Result<Option<BoundExtraction>> {
        match self {
            DimensionSpec::Default { .. } => Ok(None),
            DimensionSpec::Extraction { extraction, .. } => extraction.bind(context).map(Some),
            DimensionSpec::Lookup { lookup, retain_missing, replacement, .. } => {
                let function = ExtractionFn::Lookup {
                    map: lookup.clone(),
                    retain_missing: Some(*retain_missing),
                    replacement: replacement.clone(),
                    injective: None,
                };
                function.bind(context).map(Some)
            }
            DimensionSpec::ListFiltered { delegate, .. }
            | DimensionSpec::RegexFiltered { delegate, .. }
            | DimensionSpec::PrefixFiltered { delegate, .. } => delegate.extraction(context),
        }
    }

    /// The column with extraction and value filters applied (a string column keeps a dictionary), not yet converted
    /// to the output type. `None` when there is no such column and null stays null: all rows are null.
    pub fn column(&self, source: &Arc<dyn ColumnSource>, context: &EvalContext) -> Result<Option<Arc<dyn Column>>> {
        match self {
            DimensionSpec::Default { dimension, .. } => source.column(dimension),
            DimensionSpec::Extraction { dimension, .. } | DimensionSpec::Lookup { dimension, .. } => {
                let Some(extraction) = self.extraction(context)? else { return source.column(dimension) };
                extracted(source.column(dimension)?, extraction, source.row_count())
            }
            DimensionSpec::ListFiltered { delegate, values, is_whitelist } => {
                let values: HashSet<Option<Arc<str>>> = values.iter().cloned().collect();
                let white = *is_whitelist;
                let keep = move |value: Option<&str>| values.contains(&value.map(Arc::from)) == white;
                filtered(delegate.column(source, context)?, Arc::new(keep))
            }
            DimensionSpec::RegexFiltered { delegate, pattern } => {
                let regex = crate::text::java_regex(pattern)?;
                // `RegexFilteredDimensionSpec` matches null as the empty text.
                let keep = move |value: Option<&str>| whole_match(&regex, value.unwrap_or_default());
                filtered(delegate.column(source, context)?, Arc::new(keep))
            }
            DimensionSpec::PrefixFiltered { delegate, prefix } => {
                let prefix = prefix.clone();
                let keep = move |value: Option<&str>| value.is_some_and(|v| v.starts_with(prefix.as_str()));
                filtered(delegate.column(source, context)?, Arc::new(keep))
            }
        }
    }
}

/// `Matcher.matches()`: the whole text.
fn whole_match(regex: &regex::Regex, text: &str) -> bool {
    regex.find_iter(text).any(|found| found.start() == 0 && found.end() == text.len())
}

fn extracted(column: Option<Arc<dyn Column>>, extraction: BoundExtraction, row_count: u32) -> Result<Option<Arc<dyn Column>>> {
    let Some(column) = column else {
        // A missing column is null everywhere; the function may turn null into something.
        return Ok(match extraction.apply(None) {
            Some(text) => Some(Arc::new(MemoryColumn::new(Vector::constant(&Value::String(text), row_count as usize))?)),
            None => None,
        });
    };
    if column.dictionary().is_some() {
        let mapped = MappedColumn::new(column, &mut |value| Ok(Mapped::Value(extraction.apply(value))))?;
        return Ok(Some(Arc::new(mapped)));
    }
    let apply = move |value: &Value| extraction.apply(value.as_text().as_deref()).map_or(Value::Null, Value::String);
    Ok(Some(Arc::new(ComputedColumn::new(column, ColumnType::String, Arc::new(apply)))))
}

/// A test of the values of a row, shared by threads.
pub(crate) type Keep = Arc<dyn Fn(Option<&str>) -> bool + Send + Sync>;

/// Keeps only some values of the rows; in columns that are no strings every value is taken as text.
pub(crate) fn filtered(column: Option<Arc<dyn Column>>, keep: Keep) -> Result<Option<Arc<dyn Column>>> {
    let Some(column) = column else { return Ok(None) };
    if column.dictionary().is_some() {
        let mapped = MappedColumn::new(column, &mut |value| {
            Ok(if keep(value) { Mapped::Value(value.map(Arc::from)) } else { Mapped::Drop })
        })?;
        return Ok(Some(Arc::new(mapped)));
    }
    let function = move |value: &Value| {
        let elements = value.as_array().unwrap_or_else(|| Arc::from([Value::Null]));
        let mut kept: Vec<Value> = elements
            .iter()
            .map(|element| element.cast(&ColumnType::String))
            .filter(|element| keep(element.as_text().as_deref()))
            .collect();
        match kept.len() {
            0 => Value::Null,
            1 => kept.remove(0),
            _ => Value::Array(kept.into()),
        }
    };
    Ok(Some(Arc::new(ComputedColumn::multi_value(column, Arc::new(function)))))
}
