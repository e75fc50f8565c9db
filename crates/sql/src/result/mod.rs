//! Result rows as bytes in Druid's formats (`ResultFormat`, `SqlResults`): straight from columns, no row objects.

mod cell;

use bytes::Bytes;
use ovate_base::time::Zone;
use ovate_base::{DruidError, Result};
use ovate_engine::Relation;
use serde_json::json;
use tokio::sync::mpsc;

use crate::request::{ResultFormat, SqlRequest};
use crate::types::{Field, SqlType};
use cell::{CellWriter, json_text};

/// Bytes after which a chunk is closed.
const CHUNK_BYTES: usize = 256 * 1024;

/// How values are written.
#[derive(Debug, Clone)]
pub struct Style {
    pub zone: Zone,
    /// Arrays as JSON text (`sqlStringifyArrays`).
    pub stringify_arrays: bool,
}

/// Writes a whole answer.
pub fn write(request: &SqlRequest, fields: &[Field], rows: &Relation, style: &Style) -> Vec<Bytes> {
    let mut writer = ResultWriter::new(request, fields, style);
    let mut cells = writer.cells(rows);
    for row in 0..rows.rows {
        writer.writer.row(row, &mut cells, &writer.names);
    }
    drop(cells);
    writer.finish()
}

/// Writes an answer whose rows come in parts.
pub struct ResultWriter<'a> {
    writer: Writer,
    fields: &'a [Field],
    style: &'a Style,
    names: Vec<Vec<u8>>,
}

impl<'a> ResultWriter<'a> {
    /// The beginning, with the header rows that the request wants.
    pub fn new(request: &SqlRequest, fields: &'a [Field], style: &'a Style) -> Self {
        let mut writer = Writer { format: request.result_format, out: Vec::with_capacity(4096), chunks: Vec::new(), first: true };
        writer.start();
        if request.header {
            writer.header(request, fields);
        }
        let names: Vec<Vec<u8>> = fields
            .iter()
            .map(|field| {
                let mut name = Vec::new();
                json_text(&field.name, &mut name);
                name.push(b':');
                name
            })
            .collect();
        ResultWriter { writer, fields, style, names }
    }

    fn cells<'c>(&self, rows: &'c Relation) -> Vec<CellWriter<'c>>
    where
        'a: 'c,
    {
        let columns = self.fields.iter().zip(&rows.columns);
        columns.map(|(field, column)| CellWriter::new(&field.sql_type, column, self.style)).collect()
    }

    /// Writes a part's rows; chunks go out as they are full. Gives their bytes.
    pub async fn part(&mut self, rows: &Relation, out: &mpsc::Sender<Bytes>) -> Result<u64> {
        let mut bytes = 0;
        let mut cells = self.cells(rows);
        for row in 0..rows.rows {
            self.writer.row(row, &mut cells, &self.names);
            if !self.writer.chunks.is_empty() {
                bytes += send(self.writer.chunks.drain(..), out).await?;
            }
        }
        Ok(bytes)
    }

    /// The last chunks.
    pub fn finish(self) -> Vec<Bytes> {
        self.writer.finish()
    }
}

/// Sends chunks on, however long the client takes for them; gives their bytes.
pub async fn send(chunks: impl IntoIterator<Item = Bytes>, out: &mpsc::Sender<Bytes>) -> Result<u64> {
    let mut bytes = 0;
    for chunk in chunks {
        bytes += chunk.len() as u64;
        out.send(chunk).await.map_err(|_| DruidError::cancelled("the client is gone"))?;
    }
    Ok(bytes)
}

struct Writer {
    format: ResultFormat,
    out: Vec<u8>,
    chunks: Vec<Bytes>,
    first: bool,
}

impl Writer {
    fn start(&mut self) {
        if matches!(self.format, ResultFormat::Object | ResultFormat::Array) {
            self.out.push(b'[');
        }
    }

    /// Between rows of one JSON array.
    fn separate(&mut self) {
        if !self.first && matches!(self.format, ResultFormat::Object | ResultFormat::Array) {
            self.out.push(b',');
        }
        self.first = false;
    }

    fn header(&mut self, request: &SqlRequest, fields: &[Field]) {
        let native = |f: &Field| match &f.sql_type {
            SqlType::Null => "STRING".to_owned(),
            t => t.native().to_string(),
        };
        match self.format {
            ResultFormat::Object | ResultFormat::ObjectLines => {
                let mut map = serde_json::Map::new();
                for field in fields {
                    let mut entry = serde_json::Map::new();
                    if request.types_header {
                        entry.insert("type".into(), json!(native(field)));
                    }
                    if request.sql_types_header {
                        entry.insert("sqlType".into(), json!(field.sql_type.name()));
                    }
                    let value = if entry.is_empty() { serde_json::Value::Null } else { entry.into() };
                    map.insert(field.name.to_string(), value);
                }
                self.separate();
                self.out.extend_from_slice(serde_json::Value::Object(map).to_string().as_bytes());
                self.end_line();
            }
            _ => {
                let mut rows: Vec<Vec<String>> = vec![fields.iter().map(|f| f.name.to_string()).collect()];
                if request.types_header {
                    rows.push(fields.iter().map(native).collect());
                }
                if request.sql_types_header {
                    rows.push(fields.iter().map(|f| f.sql_type.name().to_owned()).collect());
                }
                for row in rows {
                    self.separate();
                    if self.format == ResultFormat::Csv {
                        for (i, text) in row.iter().enumerate() {
                            if i > 0 {
                                self.out.push(b',');
                            }
                            cell::csv_text(text, &mut self.out);
                        }
                    } else {
                        self.out.extend_from_slice(json!(row).to_string().as_bytes());
                    }
                    self.end_line();
                }
            }
        }
    }

    fn row(&mut self, row: usize, cells: &mut [CellWriter<'_>], names: &[Vec<u8>]) {
        self.separate();
        let object = matches!(self.format, ResultFormat::Object | ResultFormat::ObjectLines);
        let csv = self.format == ResultFormat::Csv;
        if !csv {
            self.out.push(if object { b'{' } else { b'[' });
        }
        for (i, cell) in cells.iter_mut().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            if object {
                self.out.extend_from_slice(&names[i]);
            }
            if csv { cell.csv(row, &mut self.out) } else { cell.json(row, &mut self.out) }
        }
        if !csv {
            self.out.push(if object { b'}' } else { b']' });
        }
        self.end_line();
    }

    fn end_line(&mut self) {
        if matches!(self.format, ResultFormat::ObjectLines | ResultFormat::ArrayLines | ResultFormat::Csv) {
            self.out.push(b'\n');
        }
        if self.out.len() >= CHUNK_BYTES {
            self.chunks.push(Bytes::from(std::mem::replace(&mut self.out, Vec::with_capacity(CHUNK_BYTES + 4096))));
        }
    }

    /// JSON arrays are closed and end with a line feed; the line formats end with an empty line, which tells that the
    /// answer is complete.
    fn finish(mut self) -> Vec<Bytes> {
        match self.format {
            ResultFormat::Object | ResultFormat::Array => self.out.extend_from_slice(b"]\n"),
            _ => self.out.push(b'\n'),
        }
        self.chunks.push(Bytes::from(self.out));
        self.chunks
    }
}
