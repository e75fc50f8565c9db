//! Checksums of a segment's internal files, noted when the segment came into the cache and compared when a column is first
//! read: Druid's format has none of its own, and a flipped bit in a number would be a wrong answer.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use ovate_base::Result;
use parking_lot::RwLock;
use serde_json::{Value, json};

use super::cursor::damaged;

/// CRC-32 by internal file name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Digests(BTreeMap<String, u32>);

impl Digests {
    pub(crate) fn of<'a>(files: impl Iterator<Item = (&'a String, &'a Bytes)>) -> Self {
        Digests(files.map(|(name, bytes)| (name.clone(), crc32fast::hash(bytes))).collect())
    }

    /// As a JSON document that tells when it is damaged itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        let list = Value::Object(self.0.iter().map(|(name, crc)| (name.clone(), json!(crc))).collect()).to_string();
        json!({"version": 1, "crc32": crc32fast::hash(list.as_bytes()), "files": list}).to_string().into_bytes()
    }

    /// A number that tells these files from others.
    pub(crate) fn fingerprint(&self) -> u64 {
        let (mut names, mut sums) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
        for (name, crc) in &self.0 {
            names.update(name.as_bytes());
            names.update(&[0]);
            sums.update(&crc.to_le_bytes());
        }
        u64::from(names.finalize()) << 32 | u64::from(sums.finalize())
    }

    /// Reads [`Digests::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = || damaged("checksums of a cached segment are damaged");
        let document: Value = serde_json::from_slice(bytes).map_err(|_| bad())?;
        let list = document["files"].as_str().filter(|list| document["crc32"] == crc32fast::hash(list.as_bytes()));
        serde_json::from_str(list.ok_or_else(bad)?).map(Digests).map_err(|_| bad())
    }
}

/// What is to be checked, and what has been.
pub(crate) struct Checks {
    expected: Digests,
    passed: RwLock<HashSet<String>>,
}

impl Checks {
    pub(crate) fn new(expected: Digests) -> Self {
        Checks { expected, passed: RwLock::default() }
    }

    /// Compares a file once; one without a checksum is not what was noted.
    pub(crate) fn check(&self, name: &str, bytes: &Bytes) -> Result<()> {
        if self.passed.read().contains(name) {
            return Ok(());
        }
        let expected = self.expected.0.get(name);
        if expected != Some(&crc32fast::hash(bytes)) {
            return Err(damaged(format!("a file of the segment is not what was loaded, its checksum differs. file={name}")));
        }
        self.passed.write().insert(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_and_changed_checksums_are_found() {
        let (name, bytes) = ("page".to_owned(), Bytes::from_static(b"values"));
        let digests = Digests::of([(&name, &bytes)].into_iter());
        let mut written = digests.to_bytes();
        assert_eq!(Digests::from_bytes(&written).expect("as written"), digests);
        let checks = Checks::new(digests);
        assert!(checks.check("page", &Bytes::from_static(b"valueS")).is_err());
        assert!(checks.check("page", &bytes).is_ok());
        assert!(checks.check("other", &bytes).is_err());
        for at in 0..written.len() {
            written[at] ^= 1;
            assert!(Digests::from_bytes(&written).map_or(true, |d| d == Digests::of([(&name, &bytes)].into_iter())));
            written[at] ^= 1;
        }
    }
}
