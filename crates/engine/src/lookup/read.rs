//! Reads a namespace where it is: a file, the newest file of a folder, a web address, a database. What has not changed since the
//! last time is not read again.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use ovate_base::{DruidError, Result};
use ovate_compute::LookupMap;
use ovate_net::HttpClient;

use super::parse::ParseSpec;
use super::spec::Source;

/// Longest read of one namespace.
const DEADLINE: Duration = Duration::from_secs(300);
/// Bytes of a file, unpacked; what a map holds is more.
const BYTES_MAX: u64 = 1 << 30;

/// What was read, and by what a later read tells that nothing has changed.
pub struct Loaded {
    pub map: LookupMap,
    pub mark: Option<String>,
}

impl Source {
    /// Reads it, unless it is as it was when `mark` was given; then `None`.
    pub async fn read(&self, client: &HttpClient, mark: Option<&str>) -> Result<Option<Loaded>> {
        let late = |_| DruidError::timeout(format!("reading took more than {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, self.read_now(client, mark)).await.map_err(late)?
    }

    async fn read_now(&self, client: &HttpClient, mark: Option<&str>) -> Result<Option<Loaded>> {
        match self {
            Source::Map(map) => Ok(mark.is_none().then(|| Loaded { map: map.clone(), mark: Some(String::new()) })),
            Source::Jdbc(pairs) => {
                let Some(read) = pairs.read(mark).await? else { return Ok(None) };
                let map: HashMap<String, String> = read.rows.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
                Ok(Some(Loaded { map: Arc::new(map), mark: read.newest }))
            }
            Source::Uri { uri, parse } => match scheme(uri) {
                "http" | "https" => web(client, uri, parse, mark).await,
                "file" => file(path_of(uri), parse, mark).await,
                other => Err(unsupported(other)),
            },
            Source::Newest { folder, name, parse } => match scheme(folder) {
                "file" => {
                    let newest = newest(&path_of(folder), name.as_ref())?;
                    file(newest, parse, mark).await
                }
                other => Err(unsupported(other)),
            },
        }
    }
}

fn unsupported(scheme: &str) -> DruidError {
    DruidError::unsupported(format!("a namespace at [{scheme}:]; supported: file:, http:, https: and JDBC"))
}

/// The scheme of an address; a plain path is a file.
fn scheme(uri: &str) -> &str {
    uri.split_once(':').map_or("file", |(scheme, _)| scheme)
}

fn path_of(uri: &str) -> PathBuf {
    let path = uri.strip_prefix("file:").unwrap_or(uri);
    PathBuf::from(path.strip_prefix("//").unwrap_or(path))
}

fn newest(folder: &Path, name: Option<&regex::Regex>) -> Result<PathBuf> {
    let failed = |e: std::io::Error| DruidError::runtime(format!("cannot list {}: {e}", folder.display()));
    let mut found = None;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let fits = name.is_none_or(|name| name.is_match(&entry.file_name().to_string_lossy()));
        let about = entry.metadata().map_err(failed)?;
        if !fits || !about.is_file() {
            continue;
        }
        let changed = (about.modified().map_err(failed)?, entry.path());
        if found.as_ref().is_none_or(|other| changed > *other) {
            found = Some(changed);
        }
    }
    found.map(|(_, path)| path).ok_or_else(|| DruidError::not_found(format!("no file of {} fits [fileRegex]", folder.display())))
}

async fn file(path: PathBuf, parse: &ParseSpec, mark: Option<&str>) -> Result<Option<Loaded>> {
    let (parse, mark) = (parse.clone(), mark.map(str::to_owned));
    let read = move || {
        let failed = |e: std::io::Error| DruidError::runtime(format!("cannot read {}: {e}", path.display()));
        let about = std::fs::metadata(&path).map_err(failed)?;
        let changed = about.modified().map_err(failed)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = format!("{} {} {}", path.display(), changed.as_nanos(), about.len());
        if mark.as_deref() == Some(&now) {
            return Ok(None);
        }
        let file = std::fs::File::open(&path).map_err(failed)?;
        let map = unpacked(file, &path.to_string_lossy(), &parse).map_err(|e| e.prefixed(path.display().to_string()))?;
        Ok(Some(Loaded { map: Arc::new(map), mark: Some(now) }))
    };
    tokio::task::spawn_blocking(read).await.map_err(|e| DruidError::runtime(format!("reading failed: {e}")))?
}

async fn web(client: &HttpClient, uri: &str, parse: &ParseSpec, mark: Option<&str>) -> Result<Option<Loaded>> {
    let failed = |e: &dyn std::fmt::Display| DruidError::runtime(format!("cannot read {uri}: {e}"));
    let mut request = client.raw().get(uri).timeout(DEADLINE);
    if let Some(mark) = mark {
        request = request.header("If-None-Match", mark);
    }
    let mut answer = request.send().await.map_err(|e| failed(&e))?;
    if answer.status().as_u16() == 304 {
        return Ok(None);
    }
    if !answer.status().is_success() {
        return Err(failed(&answer.status()));
    }
    let mark = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|e| failed(&e))? {
        if (body.len() + piece.len()) as u64 > BYTES_MAX {
            return Err(DruidError::resource_limit(format!("{uri} has more than {BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    let (parse, uri) = (parse.clone(), uri.to_owned());
    let read = move || unpacked(body.as_slice(), &uri, &parse).map_err(|e| e.prefixed(&uri));
    let map = tokio::task::spawn_blocking(read).await.map_err(|e| DruidError::runtime(format!("reading failed: {e}")))??;
    Ok(Some(Loaded { map: Arc::new(map), mark }))
}

/// Files that end in `.gz` are unpacked.
fn unpacked(input: impl Read, name: &str, parse: &ParseSpec) -> Result<HashMap<String, String>> {
    let plain = name.split(['?', '#']).next().unwrap_or(name);
    if plain.ends_with(".gz") {
        parse.pairs(Bounded { inner: flate2::read::MultiGzDecoder::new(input), left: BYTES_MAX })
    } else {
        parse.pairs(Bounded { inner: input, left: BYTES_MAX })
    }
}

/// Fails, rather than ends, where too much comes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left =
            self.left.checked_sub(read as u64).ok_or_else(|| std::io::Error::other(format!("more than {BYTES_MAX} bytes")))?;
        Ok(read)
    }
}
