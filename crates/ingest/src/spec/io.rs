//! `ioConfig` of batch tasks (TUN-01) with its input source (SRC-*) and input format (FMT-*).

use ovate_base::{DruidError, Interval, Result};
use serde_json::Value;

use super::cloud::CloudSource;
use super::fields::Fields;
use super::flatten::FlattenSpec;

/// Checked `ioConfig`.
#[derive(Debug, Clone)]
pub struct IoConfig {
    pub source: InputSource,
    /// `None` only for sources that are rows already (`druid`).
    pub format: Option<InputFormat>,
    pub append_to_existing: bool,
    pub drop_existing: bool,
}

/// `inputSource`.
#[derive(Debug, Clone)]
pub enum InputSource {
    Inline {
        data: String,
    },
    /// `local`: `base_dir` with a glob over file names, or single files.
    Local {
        base_dir: Option<String>,
        filter: Option<String>,
        files: Vec<String>,
        system_fields: Vec<SystemField>,
    },
    Http {
        uris: Vec<String>,
        user: Option<String>,
        password: Option<String>,
        headers: Vec<(String, String)>,
        system_fields: Vec<SystemField>,
    },
    /// `s3`, `google`, `azure`, `azureStorage`, `hdfs`.
    Cloud(CloudSource),
    Combining {
        delegates: Vec<InputSource>,
    },
    /// `druid`: rows of a datasource's visible segments.
    Druid {
        data_source: String,
        interval: Interval,
        filter: Option<Value>,
        /// Only these, which a supervising task has chosen; `interval` spans them.
        segments: Option<Vec<WindowedSegment>>,
    },
}

/// A segment and the parts of its interval that are wanted (`WindowedSegmentId`).
#[derive(Debug, Clone, PartialEq)]
pub struct WindowedSegment {
    pub id: String,
    pub intervals: Vec<Interval>,
}

/// `SystemField` (SRC-14): columns that tell where a row came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemField {
    Uri,
    Bucket,
    Path,
}

impl SystemField {
    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            SystemField::Uri => "__file_uri",
            SystemField::Bucket => "__file_bucket",
            SystemField::Path => "__file_path",
        }
    }
}

/// `inputFormat`.
#[derive(Debug, Clone)]
pub enum InputFormat {
    Json {
        flatten: FlattenSpec,
        keep_null_columns: bool,
    },
    /// `csv` and `tsv`; they differ in quoting and in the default separator.
    Delimited(Delimited),
    Parquet {
        flatten: FlattenSpec,
        binary_as_string: bool,
    },
    /// `lines`: one column `line`.
    Lines,
    Regex {
        pattern: String,
        columns: Vec<String>,
        list_delimiter: Option<String>,
    },
}

/// Settings of `csv` and `tsv`.
#[derive(Debug, Clone)]
pub struct Delimited {
    /// RFC 4180 quoting; `tsv` has none.
    pub quoted: bool,
    pub delimiter: String,
    /// Separates the values of one field; Druid's default is Ctrl-A.
    pub list_delimiter: String,
    pub columns: Option<Vec<String>>,
    pub find_columns_from_header: bool,
    pub skip_header_rows: usize,
    pub try_parse_numbers: bool,
}

impl IoConfig {
    /// Reads the config of an `index_parallel` or `index` task.
    pub fn from_json(json: &Value) -> Result<IoConfig> {
        let fields = Fields::new(json, "ioConfig")?;
        if fields.get("firehose").is_some() {
            return Err(DruidError::unsupported(
                "[firehose] in [ioConfig] was removed from Druid, use [inputSource] and [inputFormat]",
            ));
        }
        if let Some(kind) = fields.text("type")?.filter(|kind| !matches!(*kind, "index_parallel" | "index")) {
            return Err(DruidError::invalid_input(format!("unknown type [{kind}] in [ioConfig]")));
        }
        let source = InputSource::from_json(fields.need("inputSource")?)?;
        let format = fields.get("inputFormat").map(InputFormat::from_json).transpose()?;
        if format.is_none() && source.needs_format() {
            return Err(DruidError::invalid_input("[ioConfig] needs [inputFormat]"));
        }
        let append_to_existing = fields.flag("appendToExisting", false)?;
        let drop_existing = fields.flag("dropExisting", false)?;
        fields.finish()?;
        if append_to_existing && drop_existing {
            return Err(DruidError::invalid_input("[dropExisting] and [appendToExisting] in [ioConfig] exclude each other"));
        }
        Ok(IoConfig { source, format, append_to_existing, drop_existing })
    }
}

impl InputSource {
    /// Reads `inputSource`.
    pub fn from_json(json: &Value) -> Result<InputSource> {
        let fields = Fields::new(json, "inputSource")?;
        let kind = fields.need_text("type")?;
        let source = match kind {
            "inline" => InputSource::Inline { data: fields.need_text("data")?.to_owned() },
            "local" => local(&fields)?,
            "http" => http(&fields)?,
            "combining" => {
                let delegates = fields.list("delegates")?.iter().map(InputSource::from_json).collect::<Result<Vec<_>>>()?;
                if delegates.is_empty() {
                    return Err(DruidError::invalid_input("[inputSource] of type [combining] needs [delegates]"));
                }
                InputSource::Combining { delegates }
            }
            "druid" => druid(&fields)?,
            "s3" | "google" | "azure" | "azureStorage" | "hdfs" => {
                let system_fields = system_fields(&fields)?;
                InputSource::Cloud(CloudSource::from_fields(kind, &fields, system_fields)?)
            }
            "sql" | "iceberg" | "delta" | "oss" => {
                return Err(DruidError::unsupported(format!("input source [{kind}] is not supported")));
            }
            other => return Err(DruidError::invalid_input(format!("unknown input source [{other}]"))),
        };
        fields.finish()?;
        Ok(source)
    }

    fn needs_format(&self) -> bool {
        match self {
            InputSource::Druid { .. } => false,
            InputSource::Combining { delegates } => delegates.iter().any(InputSource::needs_format),
            InputSource::Inline { .. } | InputSource::Local { .. } | InputSource::Http { .. } | InputSource::Cloud(_) => true,
        }
    }
}

fn local(fields: &Fields<'_>) -> Result<InputSource> {
    let base_dir = fields.text("baseDir")?.map(str::to_owned);
    let filter = fields.text("filter")?.map(str::to_owned);
    let files = fields.texts("files")?.unwrap_or_default();
    match (&base_dir, &filter, files.is_empty()) {
        (None, _, true) => Err(DruidError::invalid_input("[inputSource] of type [local] needs [baseDir] or [files]")),
        (Some(_), None, _) => Err(DruidError::invalid_input("[filter] must go with [baseDir] in [inputSource] of type [local]")),
        _ => Ok(InputSource::Local { base_dir, filter, files, system_fields: system_fields(fields)? }),
    }
}

fn http(fields: &Fields<'_>) -> Result<InputSource> {
    let uris = fields.texts("uris")?.unwrap_or_default();
    if uris.is_empty() {
        return Err(DruidError::invalid_input("[inputSource] of type [http] needs [uris]"));
    }
    for uri in &uris {
        let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "http" | "https") {
            return Err(DruidError::invalid_input(format!("only [http, https] protocols are allowed, not [{uri}]")));
        }
    }
    let password = match fields.get("httpAuthenticationPassword") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(object) if object["type"] == "default" => object["password"].as_str().map(str::to_owned),
        Some(other) => {
            return Err(DruidError::unsupported(format!(
                "[httpAuthenticationPassword] of type [{}] is not supported",
                other["type"]
            )));
        }
    };
    let headers = match fields.get("requestHeaders") {
        None => Vec::new(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
        Some(_) => return Err(DruidError::invalid_input("[requestHeaders] in [inputSource] must be an object")),
    };
    let user = fields.text("httpAuthenticationUsername")?.map(str::to_owned);
    Ok(InputSource::Http { uris, user, password, headers, system_fields: system_fields(fields)? })
}

fn druid(fields: &Fields<'_>) -> Result<InputSource> {
    fields.refuse(&["dimensions", "metrics"])?;
    let segments = match fields.get("segments") {
        None => None,
        Some(_) => Some(fields.list("segments")?.iter().map(windowed).collect::<Result<Vec<_>>>()?),
    };
    let interval = match (fields.text("interval")?, &segments) {
        (Some(text), None) => Interval::parse(text)?,
        (None, Some(segments)) => {
            let all = segments.iter().flat_map(|segment| &segment.intervals).copied();
            all.reduce(|a, b| Interval { start: a.start.min(b.start), end: a.end.max(b.end) })
                .ok_or_else(|| DruidError::invalid_input("[segments] in [inputSource] is empty"))?
        }
        _ => {
            return Err(DruidError::invalid_input(
                "[inputSource] of type [druid] needs exactly one of [interval] and [segments]",
            ));
        }
    };
    let data_source = fields.need_text("dataSource")?.to_owned();
    Ok(InputSource::Druid { data_source, interval, filter: fields.get("filter").cloned(), segments })
}

fn windowed(json: &Value) -> Result<WindowedSegment> {
    let fields = Fields::new(json, "segments")?;
    let intervals = fields.texts("intervals")?.unwrap_or_default();
    let intervals = intervals.iter().map(|text| Interval::parse(text)).collect::<Result<Vec<_>>>()?;
    if intervals.is_empty() {
        return Err(DruidError::invalid_input("[segments] in [inputSource] needs [intervals] for each segment"));
    }
    Ok(WindowedSegment { id: fields.need_text("segmentId")?.to_owned(), intervals })
}

fn system_fields(fields: &Fields<'_>) -> Result<Vec<SystemField>> {
    let parse = |name: String| match name.as_str() {
        "__file_uri" => Ok(SystemField::Uri),
        "__file_bucket" if fields.text("type")?.is_some_and(|kind| !matches!(kind, "local" | "http" | "hdfs")) => {
            Ok(SystemField::Bucket)
        }
        "__file_path" => Ok(SystemField::Path),
        _ => Err(DruidError::unsupported(format!("system field [{name}] is not supported by this input source"))),
    };
    fields.texts("systemFields")?.unwrap_or_default().into_iter().map(parse).collect()
}

impl InputFormat {
    /// Reads `inputFormat`.
    pub fn from_json(json: &Value) -> Result<InputFormat> {
        let fields = Fields::new(json, "inputFormat")?;
        let kind = fields.need_text("type")?;
        let format = match kind {
            "json" => json_format(&fields)?,
            "csv" | "tsv" => InputFormat::Delimited(delimited(&fields, kind)?),
            "parquet" => InputFormat::Parquet {
                flatten: FlattenSpec::from_json(fields.get("flattenSpec"))?,
                binary_as_string: fields.flag("binaryAsString", false)?,
            },
            "lines" => InputFormat::Lines,
            "regex" => InputFormat::Regex {
                pattern: fields.need_text("pattern")?.to_owned(),
                columns: fields.texts("columns")?.unwrap_or_default(),
                list_delimiter: fields.text("listDelimiter")?.map(str::to_owned),
            },
            "avro_ocf" | "avro_stream" | "orc" | "protobuf" | "kafka" | "kinesis" | "thrift" | "influx" | "javascript" => {
                return Err(DruidError::unsupported(format!("input format [{kind}] is not supported")));
            }
            other => return Err(DruidError::invalid_input(format!("unknown input format [{other}]"))),
        };
        fields.finish()?;
        Ok(format)
    }
}

fn json_format(fields: &Fields<'_>) -> Result<InputFormat> {
    if let Some(features) = fields.get("featureSpec") {
        let map =
            features.as_object().ok_or_else(|| DruidError::invalid_input("[featureSpec] in [inputFormat] must be an object"))?;
        if let Some((name, _)) = map.iter().find(|(_, on)| **on == Value::Bool(true)) {
            return Err(DruidError::unsupported(format!("[{name}] in [featureSpec] of the json input format is not supported")));
        }
    }
    // Lines are objects for us in any case, and several objects may stand in one line.
    if fields.flag("assumeNewlineDelimited", false)? && fields.flag("useJsonNodeReader", false)? {
        return Err(DruidError::invalid_input(
            "[useJsonNodeReader] cannot be true when [assumeNewlineDelimited] is, in [inputFormat]",
        ));
    }
    fields.ignore(&["useJsonNodeReader"]);
    let flatten = FlattenSpec::from_json(fields.get("flattenSpec"))?;
    // As a running Druid does: where fields are discovered, those that are always null are too.
    let keep_null_columns = fields.flag("keepNullColumns", flatten.use_field_discovery)?;
    Ok(InputFormat::Json { flatten, keep_null_columns })
}

fn delimited(fields: &Fields<'_>, kind: &str) -> Result<Delimited> {
    let quoted = kind == "csv";
    let delimiter = match fields.text("delimiter")? {
        Some(_) if quoted => {
            return Err(DruidError::invalid_input("[delimiter] is not a property of input format [csv], use [tsv]"));
        }
        Some("") => return Err(DruidError::invalid_input("[delimiter] in [inputFormat] is empty")),
        Some(text) => text.to_owned(),
        None => if quoted { "," } else { "\t" }.to_owned(),
    };
    let list_delimiter = fields.text("listDelimiter")?.unwrap_or("\u{1}").to_owned();
    if list_delimiter == delimiter {
        return Err(DruidError::invalid_input(format!(
            "[listDelimiter] and [delimiter] in [inputFormat] are both [{delimiter}]"
        )));
    }
    let columns = fields.texts("columns")?.filter(|columns| !columns.is_empty());
    let has_header = fields.flag("hasHeaderRow", false)?;
    let find_columns_from_header = fields.flag("findColumnsFromHeader", columns.is_none())? || has_header;
    if columns.is_none() && !find_columns_from_header {
        return Err(DruidError::invalid_input(format!("input format [{kind}] needs [columns] or [findColumnsFromHeader]")));
    }
    if let Some(columns) = &columns {
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].contains(column) {
                return Err(DruidError::invalid_input(format!("column [{column}] stands twice in [columns] of [inputFormat]")));
            }
        }
    }
    Ok(Delimited {
        quoted,
        delimiter,
        list_delimiter,
        columns,
        find_columns_from_header,
        skip_header_rows: fields.whole("skipHeaderRows")?.unwrap_or(0).max(0) as usize,
        try_parse_numbers: fields.flag("tryParseNumbers", false)?,
    })
}
