//! Segment archives (`CompressionUtils`): a flat zip of every file of a segment directory. Sums of entries are verified
//! while they are unpacked; sizes are bounded, names must be plain.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Most bytes one entry may unpack to; guards against bombs.
const ENTRY_BYTES_MAX: u64 = 64 << 30;

/// Writes the directory's files into a new archive, synced; gives the bytes before compression.
pub(crate) fn zip_dir(dir: &Path, target: &Path) -> io::Result<u64> {
    let mut zip = zip::ZipWriter::new(File::create(target)?);
    let options = zip::write::SimpleFileOptions::default().large_file(true);
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    let mut bytes = 0;
    for entry in entries.iter().filter(|entry| entry.path().is_file()) {
        zip.start_file(entry.file_name().to_string_lossy(), options)?;
        bytes += io::copy(&mut File::open(entry.path())?, &mut zip)?;
    }
    zip.finish()?.sync_all()?;
    Ok(bytes)
}

/// Unpacks an archive into a directory; gives the bytes written. A sum that does not match is an error.
pub(crate) fn unzip(archive: &Path, into: &Path) -> io::Result<u64> {
    let mut zip = zip::ZipArchive::new(File::open(archive)?)?;
    let mut bytes = 0;
    for index in 0..zip.len() {
        let entry = zip.by_index(index)?;
        if entry.is_dir() {
            continue;
        }
        // Segment archives are flat; a name that is not plain could leave the directory.
        let name = entry.enclosed_name().filter(|name| name.components().count() == 1);
        let name = name.ok_or_else(|| invalid(format!("bad name in archive: {}", entry.name())))?;
        let size = entry.size();
        let mut file = File::create(into.join(name))?;
        // One byte more than allowed, so that the end, where the sum is verified, is reached by every entry within bounds.
        let written = io::copy(&mut entry.take(ENTRY_BYTES_MAX + 1), &mut file)?;
        if written > ENTRY_BYTES_MAX || written != size {
            return Err(invalid(format!("an archived file has {written} bytes, its directory says {size}")));
        }
        bytes += written;
    }
    Ok(bytes)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (source, archive, into) = (dir.path().join("s"), dir.path().join("a.zip"), dir.path().join("i"));
        fs::create_dir_all(&source).unwrap();
        fs::create_dir_all(&into).unwrap();
        let text: Vec<u8> = (0..4000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        fs::write(source.join("00000.smoosh"), &text).unwrap();
        assert_eq!(zip_dir(&source, &archive).unwrap(), 16_000);
        assert_eq!(unzip(&archive, &into).unwrap(), 16_000);
        let mut bytes = fs::read(&archive).unwrap();
        bytes[9_000] ^= 1;
        fs::write(&archive, bytes).unwrap();
        assert!(unzip(&archive, &into).is_err());
    }
}
