//! `TABLE(HTTP(…))`, `TABLE(INLINE(…))`, `TABLE(LOCALFILES(…))` and `TABLE(S3(…))`: an input source by SQL arguments, with the columns in an
//! EXTEND list (`HttpInputSourceDefn`, `InlineInputSourceDefn`, `LocalInputSourceDefn`, `S3InputSourceDefn`, `InputFormats`). They become the
//! documents that EXTERN takes.

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value};
use serde_json::{Map, Value as Json, json};

use super::expr::type_of;
use super::query::Block;
use super::{Binder, Scope, error_at};
use crate::external::ExternalTable;
use crate::parse::ast::{Call, Expr, Ident, Pos, TypeName};
use crate::plan::{Rel, RelKind, Rex};
use crate::types::Field;

/// Parameters of every function, after its own: the format and what formats take.
const FORMAT: [&str; 4] = ["format", "listDelimiter", "skipHeaderRows", "delimiter"];

/// Own parameters by function, in Druid's order.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    ("HTTP", &["uris", "userName", "password", "passwordEnvVar", "headers"]),
    ("INLINE", &["data"]),
    ("LOCALFILES", &["baseDir", "filter", "files"]),
    ("S3", &["uris", "prefixes", "bucket", "paths", "objectGlob", "accessKeyId", "secretAccessKey", "assumeRoleArn"]),
];

/// The values given, by parameter.
struct Arguments {
    function: &'static str,
    given: Vec<(&'static str, Vec<String>)>,
    pos: Pos,
}

impl Arguments {
    fn error(&self, message: impl AsRef<str>) -> DruidError {
        error_at(format!("{} of table function {}", message.as_ref(), self.function), self.pos)
    }

    fn list(&self, name: &str) -> Option<&[String]> {
        self.given.iter().find(|(known, _)| *known == name).map(|(_, list)| list.as_slice())
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.list(name) {
            None => Ok(None),
            Some([one]) => Ok(Some(one)),
            Some(_) => Err(self.error(format!("one text is wanted, not an array, for parameter [{name}]"))),
        }
    }

    /// Exactly one of these must be there.
    fn one_of(&self, names: &[&str]) -> Result<()> {
        match names.iter().filter(|name| self.list(name).is_some()).count() {
            1 => Ok(()),
            0 => Err(self.error(format!("one of the parameters [{}] is needed", names.join(", ")))),
            _ => Err(self.error(format!("only one of the parameters [{}] may be given", names.join(", ")))),
        }
    }
}

/// True for a name that is a function of these.
pub(super) fn is_input_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _)| *known == name)
}

impl Binder<'_> {
    pub(super) fn input_function(&mut self, call: &Call, extend: &[(Ident, TypeName)], pos: Pos) -> Result<Rel> {
        let arguments = self.input_arguments(call, pos)?;
        if extend.is_empty() {
            return Err(arguments.error("a list of columns (EXTEND) is needed after the call"));
        }
        let mut fields: Vec<Field> = Vec::with_capacity(extend.len());
        for (name, type_name) in extend {
            if fields.iter().any(|field| *field.name == *name.value) {
                return Err(error_at(format!("Column [{}] stands twice in the list of columns", name.value), name.pos));
            }
            fields.push(Field::new(&name.value, type_of(type_name)?));
        }
        let source = source(&arguments)?;
        let format = format(&arguments, &fields)?;
        let columns: Vec<(String, ColumnType)> = fields.iter().map(|f| (f.name.to_string(), f.sql_type.native())).collect();
        Ok(Rel::new(RelKind::External(Arc::new(ExternalTable { source, format, columns })), fields))
    }

    fn input_arguments(&mut self, call: &Call, pos: Pos) -> Result<Arguments> {
        let (function, own) =
            *FUNCTIONS.iter().find(|(name, _)| *name == call.name).ok_or_else(|| error_at("unknown table function", pos))?;
        let parameters: Vec<&'static str> = own.iter().chain(&FORMAT).copied().collect();
        let mut arguments = Arguments { function, given: Vec::new(), pos };
        if call.args.len() > parameters.len() {
            return Err(error_at(format!("Invalid number of arguments to function '{function}'"), pos));
        }
        let by_place = parameters.iter().copied().zip(&call.args).collect::<Vec<_>>();
        let mut all: Vec<(&'static str, &Expr, Pos)> = by_place.into_iter().map(|(name, arg)| (name, arg, arg.pos)).collect();
        for (name, value) in &call.named {
            let known = parameters.iter().find(|known| known.eq_ignore_ascii_case(&name.value));
            let known =
                known.ok_or_else(|| error_at(format!("{function} does not have a parameter [{}]", name.value), name.pos))?;
            if all.iter().any(|(other, _, _)| other == known) {
                return Err(error_at(format!("Duplicate argument [{}] of {function}", name.value), name.pos));
            }
            all.push((known, value, name.pos));
        }
        for (name, expr, at) in all {
            let rex = self.expr(expr, &Scope::default(), &mut Block::scalar())?;
            match texts(&rex) {
                Some(list) => arguments.given.push((name, list)),
                None if matches!(rex.literal(), Some(Value::Null)) => {}
                None => {
                    let message = format!("Argument [{name}] of {function} must be a literal, or an array of literals");
                    return Err(error_at(message, at));
                }
            }
        }
        Ok(arguments)
    }
}

/// The texts of a constant, alone or in an array.
fn texts(rex: &Rex) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_text().filter(|_| !value.is_null()).map(|text| text.to_string());
    match rex {
        Rex::Literal(Value::Array(list), _) => list.iter().map(text).collect(),
        Rex::Literal(value, _) => text(value).map(|text| vec![text]),
        Rex::Call { op: "ARRAY", args, .. } => args.iter().map(|arg| arg.literal().and_then(text)).collect(),
        Rex::Call { op: "CAST", args, .. } => texts(args.first()?),
        _ => None,
    }
}

fn source(arguments: &Arguments) -> Result<Json> {
    match arguments.function {
        "HTTP" => http(arguments),
        "INLINE" => {
            let lines = arguments.list("data").ok_or_else(|| arguments.error("a value is needed for parameter [data]"))?;
            Ok(json!({"type": "inline", "data": lines.iter().map(|line| format!("{line}\n")).collect::<String>()}))
        }
        "LOCALFILES" => local(arguments),
        _ => s3(arguments),
    }
}

fn http(arguments: &Arguments) -> Result<Json> {
    let uris = arguments.list("uris").ok_or_else(|| arguments.error("a value is needed for parameter [uris]"))?;
    let mut source = json!({"type": "http", "uris": uris});
    if let Some(user) = arguments.text("userName")? {
        source["httpAuthenticationUsername"] = json!(user);
    }
    match (arguments.text("password")?, arguments.text("passwordEnvVar")?) {
        (None, None) => {}
        (Some(password), None) => source["httpAuthenticationPassword"] = json!({"type": "default", "password": password}),
        (None, Some(name)) => source["httpAuthenticationPassword"] = json!({"type": "environment", "variable": name}),
        (Some(_), Some(_)) => return Err(arguments.error("only one of the parameters [password, passwordEnvVar] may be given")),
    }
    if let Some(headers) = arguments.text("headers")? {
        let headers: Map<String, Json> = serde_json::from_str(headers)
            .map_err(|e| arguments.error(format!("parameter [headers] must be a JSON object of texts ({e})")))?;
        source["requestHeaders"] = Json::Object(headers);
    }
    Ok(source)
}

fn local(arguments: &Arguments) -> Result<Json> {
    let (folder, filter, files) = (arguments.text("baseDir")?, arguments.text("filter")?, arguments.list("files"));
    match (folder, files) {
        (None, None) => Err(arguments.error("one of the parameters [baseDir, files] is needed")),
        (_, Some(_)) if filter.is_some() => {
            Err(arguments.error("only one of the parameters [files, filter] may be given, and [filter] needs [baseDir]"))
        }
        (None, Some(files)) => Ok(json!({"type": "local", "files": files})),
        (Some(folder), Some(files)) => {
            let files: Vec<String> = files.iter().map(|file| format!("{}/{file}", folder.trim_end_matches('/'))).collect();
            Ok(json!({"type": "local", "files": files}))
        }
        (Some(folder), None) => Ok(json!({"type": "local", "baseDir": folder, "filter": filter.unwrap_or("*")})),
    }
}

fn s3(arguments: &Arguments) -> Result<Json> {
    arguments.one_of(&["uris", "prefixes", "bucket"])?;
    let mut source = json!({"type": "s3"});
    for name in ["uris", "prefixes"] {
        if let Some(list) = arguments.list(name) {
            source[name] = json!(list);
        }
    }
    match (arguments.text("bucket")?, arguments.list("paths")) {
        (Some(bucket), Some(paths)) => {
            source["objects"] = paths.iter().map(|path| json!({"bucket": bucket, "path": path})).collect();
        }
        (None, None) => {}
        _ => return Err(arguments.error("the parameters [bucket, paths] belong together")),
    }
    if let Some(glob) = arguments.text("objectGlob")? {
        source["objectGlob"] = json!(glob);
    }
    let mut properties = Map::new();
    for name in ["accessKeyId", "secretAccessKey", "assumeRoleArn"] {
        if let Some(value) = arguments.text(name)? {
            properties.insert(name.to_owned(), json!(value));
        }
    }
    if !properties.is_empty() {
        source["properties"] = Json::Object(properties);
    }
    Ok(source)
}

fn format(arguments: &Arguments, fields: &[Field]) -> Result<Json> {
    let kind = arguments.text("format")?;
    let kind = kind.ok_or_else(|| arguments.error("a value is needed for parameter [format]"))?;
    let flat = match kind {
        "csv" => ["listDelimiter", "skipHeaderRows"].as_slice(),
        "tsv" => ["listDelimiter", "skipHeaderRows", "delimiter"].as_slice(),
        "json" => [].as_slice(),
        _ => {
            return Err(arguments
                .error(format!("Format type [{kind}] for property [format] is not valid: csv, tsv, json are the formats")));
        }
    };
    if let Some(other) = FORMAT[1..].iter().find(|name| !flat.contains(name) && arguments.list(name).is_some()) {
        return Err(arguments.error(format!("format [{kind}] does not have a parameter [{other}]")));
    }
    let mut format = json!({"type": kind});
    if kind == "json" {
        return Ok(format);
    }
    format["columns"] = fields.iter().map(|field| &*field.name).collect();
    format["findColumnsFromHeader"] = json!(false);
    let skipped = match arguments.text("skipHeaderRows")? {
        None => 0,
        // Druid's parameter is a BOOLEAN, its input format's field a number.
        Some(text) if text.eq_ignore_ascii_case("true") => 1,
        Some(text) if text.eq_ignore_ascii_case("false") => 0,
        Some(text) => {
            text.parse::<u32>().map_err(|_| arguments.error("a number of rows is wanted for parameter [skipHeaderRows]"))?
        }
    };
    format["skipHeaderRows"] = json!(skipped);
    for name in ["listDelimiter", "delimiter"] {
        if let Some(text) = arguments.text(name)? {
            format[name] = json!(text);
        }
    }
    Ok(format)
}
