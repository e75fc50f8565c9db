//! Input sources (SRC-*): which things to read, and their bytes, decompressed as they stream. Nothing is buffered whole
//! except inline text, which came with the task.

mod cloud;
mod decompress;
mod http;
mod path_glob;
pub mod segments;
pub mod split;
mod wildcard;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_store::deep::DeepStorage;
use tokio::runtime::Handle;

pub use cloud::CloudObject;
pub use decompress::decompressed;
pub use http::HttpOptions;

use crate::spec::InputSource;
use crate::spec::io::SystemField;

/// One thing to read (`InputEntity`).
#[derive(Debug, Clone)]
pub struct Entity {
    pub place: Place,
    pub system_fields: Arc<[SystemField]>,
}

/// Where an entity's bytes are.
#[derive(Debug, Clone)]
pub enum Place {
    Inline(Arc<str>),
    File(PathBuf),
    Http { uri: String, options: Arc<HttpOptions> },
    Cloud(CloudObject),
}

/// A stream of bytes.
pub type ByteStream = Box<dyn Read + Send>;

/// What sources on other storage are looked up by.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    pub storage: &'a dyn DeepStorage,
    pub handle: &'a Handle,
}

/// Everything a source names, in a fixed order. `druid` sources have no bytes and are no business of this room. Blocks the
/// calling thread, which must not be one of the runtime's own.
pub fn entities(source: &InputSource, lookup: Lookup<'_>) -> Result<Vec<Entity>> {
    let none: Arc<[SystemField]> = Arc::from([]);
    Ok(match source {
        InputSource::Inline { data } => vec![Entity { place: Place::Inline(Arc::from(data.as_str())), system_fields: none }],
        InputSource::Local { base_dir, filter, files, system_fields } => {
            let system_fields: Arc<[SystemField]> = Arc::from(system_fields.as_slice());
            let mut paths = local_files(base_dir.as_deref(), filter.as_deref())?;
            paths.extend(files.iter().map(PathBuf::from));
            // Empty files hold no rows, and parquet ones without a footer would only be errors (`LocalInputSource`).
            paths.retain(|path| std::fs::metadata(path).map_or(true, |meta| meta.len() > 0));
            paths.into_iter().map(|path| Entity { place: Place::File(path), system_fields: system_fields.clone() }).collect()
        }
        InputSource::Http { uris, user, password, headers, system_fields } => {
            let options = Arc::new(HttpOptions { user: user.clone(), password: password.clone(), headers: headers.clone() });
            let system_fields: Arc<[SystemField]> = Arc::from(system_fields.as_slice());
            let place = |uri: &String| Place::Http { uri: uri.clone(), options: options.clone() };
            uris.iter().map(|uri| Entity { place: place(uri), system_fields: system_fields.clone() }).collect()
        }
        InputSource::Cloud(source) => {
            let system_fields: Arc<[SystemField]> = Arc::from(source.system_fields.as_slice());
            let services = lookup.storage.services();
            let objects = lookup.handle.block_on(cloud::objects(source, &services))?;
            objects
                .into_iter()
                .map(|object| Entity { place: Place::Cloud(object), system_fields: system_fields.clone() })
                .collect()
        }
        InputSource::Combining { delegates } => {
            let lists = delegates.iter().map(|delegate| entities(delegate, lookup)).collect::<Result<Vec<_>>>()?;
            lists.into_iter().flatten().collect()
        }
        InputSource::Druid { .. } => return Err(DruidError::unsupported("the druid input source cannot be read as bytes")),
    })
}

fn local_files(base_dir: Option<&str>, filter: Option<&str>) -> Result<Vec<PathBuf>> {
    let Some(base_dir) = base_dir else { return Ok(Vec::new()) };
    let patterns = wildcard::Wildcard::new(filter.unwrap_or("*"));
    let mut found = Vec::new();
    walk(Path::new(base_dir), &patterns, &mut found, 0)?;
    found.sort();
    Ok(found)
}

/// Directories may nest this deep below `baseDir`.
const DIRECTORY_DEPTH_MAX: usize = 64;

fn walk(dir: &Path, patterns: &wildcard::Wildcard, found: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    let broken = |e: std::io::Error| DruidError::invalid_input(format!("cannot list directory [{}]: {e}", dir.display()));
    for entry in std::fs::read_dir(dir).map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path();
        let meta = std::fs::metadata(&path).map_err(broken)?;
        if meta.is_dir() && depth < DIRECTORY_DEPTH_MAX {
            walk(&path, patterns, found, depth + 1)?;
        } else if meta.is_file() && patterns.matches(&entry.file_name().to_string_lossy()) {
            found.push(path);
        }
    }
    Ok(())
}

impl Entity {
    /// Name for messages: path, address, or `inline`.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Inline(_) => "inline".to_owned(),
            Place::File(path) => path.display().to_string(),
            Place::Http { uri, .. } => uri.clone(),
            Place::Cloud(object) => object.uri.clone(),
        }
    }

    /// The value of a system field (SRC-14).
    pub fn system_value(&self, field: SystemField) -> Option<String> {
        match (&self.place, field) {
            (Place::File(path), SystemField::Uri) => Some(format!("file:{}", path.display())),
            (Place::File(path), SystemField::Path) => Some(path.display().to_string()),
            (Place::Http { uri, .. }, SystemField::Uri) => Some(uri.clone()),
            (Place::Http { uri, .. }, SystemField::Path) => {
                let rest = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest);
                Some(rest.find('/').map_or("/", |at| &rest[at..]).to_owned())
            }
            (Place::Cloud(object), SystemField::Uri) => Some(object.uri.clone()),
            (Place::Cloud(object), SystemField::Bucket) => Some(object.location.bucket.clone()),
            (Place::Cloud(object), SystemField::Path) => Some(object.location.path.clone()),
            (Place::Inline(_), _) | (Place::File(_) | Place::Http { .. }, SystemField::Bucket) => None,
        }
    }

    /// The bytes, decompressed. Blocks the calling thread while it reads, which must not be one of the runtime's own.
    pub fn open(&self, handle: &Handle) -> Result<ByteStream> {
        match &self.place {
            Place::Inline(text) => Ok(Box::new(Cursor::new(SharedText(text.clone())))),
            _ => decompressed(self.open_raw(handle)?, &self.name()),
        }
    }

    /// The bytes as they are stored.
    pub fn open_raw(&self, handle: &Handle) -> Result<ByteStream> {
        match &self.place {
            Place::Inline(text) => Ok(Box::new(Cursor::new(SharedText(text.clone())))),
            Place::File(path) => {
                let file =
                    File::open(path).map_err(|e| DruidError::invalid_input(format!("cannot open [{}]: {e}", path.display())))?;
                Ok(Box::new(file))
            }
            Place::Http { uri, options } => http::open(uri, options, handle),
            Place::Cloud(object) => Ok(cloud::open(object, handle)),
        }
    }
}

struct SharedText(Arc<str>);

impl AsRef<[u8]> for SharedText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
