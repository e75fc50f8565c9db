//! Complex columns (part `complex`): sketches, pairs and the like, given as bytes with their type's name. Three containers:
//! a list of rows, rows in compressed blocks, and cells of pairs.

use std::sync::Arc;

use bytes::Bytes;
use croaring::Bitmap;
use ovate_base::Result;
use ovate_compute::column::{Column, ColumnCapabilities, ColumnReader};
use ovate_compute::{ColumnType, Rows, Value};

use super::bitmap::BitmapKind;
use super::blob::{Blob, BlobReader};
use super::contributed::{DecimalReader, Decimals, Histograms};
use super::cursor::{At, Cursor, Place, damaged};
use super::descriptor::byte_order;
use super::generic_indexed::GenericIndexed;
use super::pairs::{PairCells, PairKind, PairReader};
use super::string_column::{PartContext, check_inside};

enum Container {
    List(GenericIndexed),
    Blob { blob: Blob, nulls: Bitmap },
    Pairs(Arc<PairCells>),
    Histograms(Histograms),
    Decimals(Decimals),
}

/// The column.
pub(crate) struct ComplexColumn {
    rows: u32,
    type_name: Arc<str>,
    container: Arc<Container>,
    place: Place,
}

impl ComplexColumn {
    /// Reads the payload of the part.
    pub(crate) fn read(cursor: &mut Cursor, part: &PartContext<'_>, type_name: &str) -> Result<Self> {
        let container = match (cursor.peek(), PairKind::from_type(type_name)) {
            // These two contributed types begin like a list but are something else.
            _ if type_name.starts_with("spectatorHistogram") => Container::Histograms(Histograms::read(cursor, part.rows)?),
            _ if type_name == "compressedBigDecimal" => Container::Decimals(Decimals::read(cursor, part)?),
            (Some(1 | 2), _) => {
                let list = GenericIndexed::read(cursor, part.files)?;
                check_rows(list.len(), part.rows)?;
                Container::List(list)
            }
            (Some(0x7F), _) => Self::read_blob(cursor, part)?,
            (Some(3), Some(kind)) => Container::Pairs(Arc::new(PairCells::read(cursor, kind)?)),
            (first, _) => {
                return Err(damaged(format!("unknown container of a complex column. type={type_name} first_byte={first:?}")));
            }
        };
        let type_name = Arc::from(type_name);
        Ok(ComplexColumn { rows: part.rows, type_name, container: Arc::new(container), place: part.place.clone() })
    }

    fn read_blob(cursor: &mut Cursor, part: &PartContext<'_>) -> Result<Container> {
        cursor.u8()?;
        let version = cursor.u8()?;
        if version != 0 {
            return Err(damaged(format!("unknown version of a compressed complex column. version={version}")));
        }
        let header: serde_json::Value = serde_json::from_slice(&cursor.sized("byte count of a header")?)
            .map_err(|e| damaged(format!("header of a complex column is not JSON: {e}")))?;
        let base = header.get("fileNameBase").and_then(|v| v.as_str()).ok_or_else(|| damaged("header lacks fileNameBase"))?;
        let order = byte_order(&header)?;
        let blob = Blob::read(part.files, &format!("{base}.__complexColumn"), order)?;
        check_rows(blob.len, part.rows)?;
        let has_nulls = header.get("hasNulls").and_then(|v| v.as_bool()).unwrap_or(false);
        let nulls = match part.files.get(&format!("{base}.__nullIndex")) {
            Some(file) if has_nulls => {
                let kind = BitmapKind::from_json(header.get("bitmapSerdeFactory"))?;
                kind.decode(&Cursor::new(file).sized("byte count of a null bitmap")?, part.rows)?
            }
            _ => Bitmap::new(),
        };
        Ok(Container::Blob { blob, nulls })
    }
}

pub(crate) fn check_rows(stored: u32, wanted: u32) -> Result<()> {
    if stored < wanted {
        return Err(damaged(format!("column has too few rows. rows={stored} wanted={wanted}")));
    }
    Ok(())
}

impl Column for ComplexColumn {
    fn capabilities(&self) -> ColumnCapabilities {
        ColumnCapabilities {
            column_type: ColumnType::Complex(Some(self.type_name.clone())),
            multi_value: false,
            dictionary: false,
            bitmaps: false,
            has_nulls: true,
        }
    }

    fn reader(&self) -> Result<Box<dyn ColumnReader>> {
        let source = match &*self.container {
            Container::List(_) | Container::Histograms(_) => Source::List,
            Container::Decimals(decimals) => Source::Decimals(Box::new(DecimalReader::new(decimals))),
            Container::Blob { blob, .. } => Source::Blob(BlobReader::new(blob)),
            Container::Pairs(cells) => Source::Pairs(PairReader::new(cells.clone())),
        };
        Ok(Box::new(ComplexReader {
            rows: self.rows,
            type_name: self.type_name.clone(),
            container: self.container.clone(),
            source,
            values: Vec::new(),
            place: self.place.clone(),
        }))
    }
}

enum Source {
    List,
    Blob(BlobReader),
    Pairs(PairReader),
    Decimals(Box<DecimalReader>),
}

struct ComplexReader {
    rows: u32,
    type_name: Arc<str>,
    container: Arc<Container>,
    source: Source,
    values: Vec<Value>,
    place: Place,
}

impl ComplexReader {
    fn bytes(&mut self, row: u32) -> Result<Option<Bytes>> {
        match (&*self.container, &mut self.source) {
            (Container::List(list), _) => list.get_bytes(row),
            (Container::Histograms(histograms), _) => histograms.get(row),
            (Container::Decimals(_), Source::Decimals(reader)) => reader.read(row),
            (Container::Blob { nulls, .. }, Source::Blob(reader)) => {
                if nulls.contains(row) {
                    return Ok(None);
                }
                let mut bytes = Vec::new();
                reader.read(row, &mut bytes)?;
                Ok(Some(bytes.into()))
            }
            (Container::Pairs(_), Source::Pairs(reader)) => Ok(reader.read(row)?.map(Bytes::from)),
            _ => unreachable!("a reader is made for its container"),
        }
    }

    fn fill(&mut self, rows: &Rows<'_>) -> Result<()> {
        check_inside(rows, self.rows)?;
        self.values.clear();
        let push = |reader: &mut Self, row: u32| -> Result<()> {
            // No bytes are no value: every type writes an absent or empty one so.
            let value = match reader.bytes(row)? {
                Some(bytes) if !bytes.is_empty() => Value::Complex(reader.type_name.clone(), bytes),
                _ => Value::Null,
            };
            reader.values.push(value);
            Ok(())
        };
        match rows {
            Rows::Range(range) => range.clone().try_for_each(|row| push(self, row)),
            Rows::Ids(ids) => ids.iter().try_for_each(|row| push(self, *row)),
        }
    }
}

impl ColumnReader for ComplexReader {
    fn values(&mut self, rows: Rows<'_>) -> Result<&[Value]> {
        self.fill(&rows).at(&self.place)?;
        Ok(&self.values)
    }
}
