//! `IndexSpec`: how columns are encoded when a segment is written (TUN-06; Druid's `IndexSpec`). Parsed once at the door;
//! what we cannot write is refused by name.

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

/// Block compression (`CompressionStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Lz4,
    Lzf,
    Zstd,
    /// Blocks that are stored as they are.
    Uncompressed,
    /// No blocks; only for numbers.
    None,
}

/// `longEncoding` (`CompressionFactory.LongEncodingStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongEncoding {
    Longs,
    Auto,
}

/// `stringDictionaryEncoding` (`StringEncodingStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringDictionaryEncoding {
    Utf8,
    FrontCoded { bucket_size: u8, format_version: u8 },
}

/// Encoding options of one segment. `Default` is Druid's default.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexSpec {
    pub dimension_compression: Compression,
    pub metric_compression: Compression,
    pub long_encoding: LongEncoding,
    pub string_dictionary_encoding: StringDictionaryEncoding,
    /// `compressRunOnSerialization` of `{"type":"roaring"}`.
    pub roaring_runs: bool,
    /// `complexMetricCompression`; `None` writes a plain list of rows.
    pub complex_compression: Option<Compression>,
    /// Compression of the raw objects of JSON columns.
    pub json_compression: Compression,
}

impl Default for IndexSpec {
    fn default() -> Self {
        IndexSpec {
            dimension_compression: Compression::Lz4,
            metric_compression: Compression::Lz4,
            long_encoding: LongEncoding::Longs,
            string_dictionary_encoding: StringDictionaryEncoding::Utf8,
            roaring_runs: true,
            complex_compression: None,
            json_compression: Compression::Lz4,
        }
    }
}

impl Compression {
    fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "lz4" => Ok(Compression::Lz4),
            "lzf" => Ok(Compression::Lzf),
            "zstd" => Ok(Compression::Zstd),
            "uncompressed" => Ok(Compression::Uncompressed),
            "none" => Ok(Compression::None),
            _ => Err(DruidError::invalid_input(format!("unknown compression [{text}] in indexSpec"))),
        }
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Lz4 => "lz4",
            Compression::Lzf => "lzf",
            Compression::Zstd => "zstd",
            Compression::Uncompressed => "uncompressed",
            Compression::None => "none",
        }
    }

    /// The id byte in column headers.
    pub fn id(self) -> u8 {
        match self {
            Compression::Lzf => 0x00,
            Compression::Lz4 => 0x01,
            Compression::Zstd => 0x02,
            Compression::None => 0xFE,
            Compression::Uncompressed => 0xFF,
        }
    }

    /// Nested and auto columns replace no compression by lz4 (`NestedCommonFormatColumnFormatSpec`).
    pub(crate) fn or_lz4(self) -> Self {
        match self {
            Compression::None | Compression::Uncompressed => Compression::Lz4,
            other => other,
        }
    }
}

impl IndexSpec {
    /// Reads `indexSpec`; null gives the default.
    pub fn from_json(json: &Json) -> Result<Self> {
        let mut spec = IndexSpec::default();
        if json.is_null() {
            return Ok(spec);
        }
        let object = json.as_object().ok_or_else(|| DruidError::invalid_input("indexSpec must be an object"))?;
        for (name, value) in object {
            if value.is_null() {
                continue;
            }
            let compression = || {
                let text =
                    value.as_str().ok_or_else(|| DruidError::invalid_input(format!("indexSpec [{name}] must be a string")))?;
                Compression::parse(text)
            };
            match name.as_str() {
                "bitmap" => spec.roaring_runs = parse_bitmap(value)?,
                "dimensionCompression" => spec.dimension_compression = compression()?,
                "metricCompression" => spec.metric_compression = compression()?,
                "complexMetricCompression" => spec.complex_compression = Some(compression()?),
                "jsonCompression" => spec.json_compression = compression()?,
                "longEncoding" => spec.long_encoding = parse_long_encoding(value)?,
                "stringDictionaryEncoding" => spec.string_dictionary_encoding = parse_dictionary(value)?,
                // Where V10 keeps its metadata; a V9 segment has nothing that it would change.
                "metadataCompression" => {}
                "autoColumnFormatSpec" if value.as_object().is_some_and(|o| o.is_empty()) => {}
                "autoColumnFormatSpec" | "stringColumnFormatSpec" | "segmentLoader" | "columnFormatSpec" => {
                    return Err(DruidError::unsupported(format!("indexSpec [{name}] is not supported")));
                }
                // Druid's mapper ignores properties that it does not know.
                _ => {}
            }
        }
        if spec.dimension_compression == Compression::None {
            // Druid writes ids without blocks' compression when asked for none (`CompressionStrategy.noNoneValues`).
            spec.dimension_compression = Compression::Uncompressed;
        }
        Ok(spec)
    }

    /// The JSON that Druid would write for this spec.
    pub fn to_json(&self) -> Json {
        let encoding = match self.long_encoding {
            LongEncoding::Longs => "longs",
            LongEncoding::Auto => "auto",
        };
        let mut json = json!({
            "bitmap": {"type": "roaring"},
            "dimensionCompression": self.dimension_compression.name(),
            "stringDictionaryEncoding": self.string_dictionary_encoding.to_json(),
            "metricCompression": self.metric_compression.name(),
            "longEncoding": encoding,
        });
        if let Some(compression) = self.complex_compression {
            json["complexMetricCompression"] = compression.name().into();
        }
        if self.json_compression != Compression::Lz4 {
            json["jsonCompression"] = self.json_compression.name().into();
        }
        json
    }
}

impl StringDictionaryEncoding {
    /// `{"type":"utf8"}` or the front-coded form.
    pub fn to_json(self) -> Json {
        match self {
            StringDictionaryEncoding::Utf8 => json!({"type": "utf8"}),
            StringDictionaryEncoding::FrontCoded { bucket_size, format_version } => {
                json!({"type": "frontCoded", "bucketSize": bucket_size, "formatVersion": format_version})
            }
        }
    }
}

fn parse_bitmap(value: &Json) -> Result<bool> {
    let kind = value.get("type").or(Some(value)).and_then(Json::as_str).unwrap_or("");
    match kind {
        "roaring" => Ok(value.get("compressRunOnSerialization").and_then(Json::as_bool).unwrap_or(true)),
        "concise" => Err(DruidError::unsupported("indexSpec bitmap [concise] cannot be written, use roaring")),
        _ => Err(DruidError::invalid_input(format!("unknown bitmap type [{kind}] in indexSpec"))),
    }
}

fn parse_long_encoding(value: &Json) -> Result<LongEncoding> {
    match value.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("longs") => Ok(LongEncoding::Longs),
        Some("auto") => Ok(LongEncoding::Auto),
        _ => Err(DruidError::invalid_input(format!("unknown longEncoding [{value}] in indexSpec"))),
    }
}

fn parse_dictionary(value: &Json) -> Result<StringDictionaryEncoding> {
    match value.get("type").and_then(Json::as_str) {
        Some("utf8") => Ok(StringDictionaryEncoding::Utf8),
        Some("frontCoded") => {
            let number = |name: &str, default: u64| match value.get(name) {
                None | Some(Json::Null) => Ok(default),
                Some(given) => {
                    given.as_u64().ok_or_else(|| DruidError::invalid_input(format!("frontCoded [{name}] must be a number")))
                }
            };
            let (bucket_size, format_version) = (number("bucketSize", 4)?, number("formatVersion", 1)?);
            if !bucket_size.is_power_of_two() || bucket_size > 128 {
                return Err(DruidError::invalid_input("frontCoded bucketSize must be a power of two up to 128"));
            }
            if format_version > 1 {
                return Err(DruidError::invalid_input(format!("unknown frontCoded formatVersion [{format_version}]")));
            }
            Ok(StringDictionaryEncoding::FrontCoded { bucket_size: bucket_size as u8, format_version: format_version as u8 })
        }
        _ => Err(DruidError::invalid_input(format!("unknown stringDictionaryEncoding [{value}]"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_druids() {
        let spec = IndexSpec::from_json(&Json::Null).unwrap();
        assert_eq!(spec, IndexSpec::default());
        assert_eq!(IndexSpec::from_json(&spec.to_json()).unwrap(), spec);
    }

    #[test]
    fn every_option_is_read() {
        let json = json!({"bitmap": {"type": "roaring"}, "dimensionCompression": "zstd", "metricCompression": "none",
            "longEncoding": "auto", "stringDictionaryEncoding": {"type": "frontCoded", "bucketSize": 16, "formatVersion": 0},
            "complexMetricCompression": "lz4"});
        let spec = IndexSpec::from_json(&json).unwrap();
        assert_eq!(spec.dimension_compression, Compression::Zstd);
        assert_eq!(spec.metric_compression, Compression::None);
        assert_eq!(spec.long_encoding, LongEncoding::Auto);
        assert_eq!(spec.complex_compression, Some(Compression::Lz4));
        assert_eq!(spec.string_dictionary_encoding, StringDictionaryEncoding::FrontCoded { bucket_size: 16, format_version: 0 });
        assert_eq!(spec.to_json(), json);
    }

    #[test]
    fn concise_is_refused_by_name() {
        let error = IndexSpec::from_json(&json!({"bitmap": {"type": "concise"}})).unwrap_err();
        assert!(error.message.contains("concise"));
    }
}
