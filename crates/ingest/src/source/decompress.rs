//! Compression by magic number (SRC-15): gz, zst, bz2, xz, framed Snappy, and the first entry of a zip. A file whose name
//! promises compression and whose bytes have none is an error.

use std::io::{BufRead, BufReader, Read};

use ovate_base::{DruidError, Result};

use super::ByteStream;

const BUFFER_BYTES: usize = 256 << 10;

/// The stream, decompressed where it is compressed.
pub fn decompressed(raw: ByteStream, name: &str) -> Result<ByteStream> {
    let broken = |e: std::io::Error| DruidError::invalid_input(format!("cannot read [{name}]: {e}"));
    let mut input = BufReader::with_capacity(BUFFER_BYTES, raw);
    let magic: Vec<u8> = input.fill_buf().map_err(broken)?.iter().take(10).copied().collect();
    let starts = |bytes: &[u8]| magic.starts_with(bytes);
    if starts(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)));
    }
    if starts(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?));
    }
    if starts(b"BZh") && magic.get(4..10) == Some(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59]) {
        return Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(input)));
    }
    if starts(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        return Ok(Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input)));
    }
    if starts(&[0xff, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y']) {
        return Ok(Box::new(snap::read::FrameDecoder::new(input)));
    }
    if starts(b"PK\x03\x04") {
        return first_of_zip(input, name);
    }
    let extension = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    if matches!(extension.as_str(), "gz" | "zst" | "bz2" | "xz" | "sz" | "zip") && !magic.is_empty() {
        return Err(DruidError::invalid_input(format!("[{name}] is not in the format that its extension [{extension}] names")));
    }
    Ok(Box::new(input))
}

/// The first entry of a zip stream, as `CompressionUtils` reads it: stored or deflated.
fn first_of_zip(mut input: BufReader<ByteStream>, name: &str) -> Result<ByteStream> {
    let broken = |why: &str| DruidError::invalid_input(format!("cannot read [{name}]: {why}"));
    let mut header = [0u8; 30];
    input.read_exact(&mut header).map_err(|e| broken(&e.to_string()))?;
    let half = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (flags, method, skip) = (half(6), half(8), half(26) + half(28));
    let size = u64::from(u32::from_le_bytes([header[18], header[19], header[20], header[21]]));
    std::io::copy(&mut input.by_ref().take(skip), &mut std::io::sink()).map_err(|e| broken(&e.to_string()))?;
    match method {
        _ if flags & 1 != 0 => Err(broken("the zip entry is encrypted")),
        8 => Ok(Box::new(flate2::bufread::DeflateDecoder::new(input))),
        0 if flags & 8 == 0 => Ok(Box::new(input.take(size))),
        _ => Err(broken(&format!("zip method [{method}] is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    const TEXT: &[u8] = b"{\"a\":1}\n{\"a\":2}\n";

    fn read(bytes: Vec<u8>, name: &str) -> std::result::Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut stream = decompressed(Box::new(Cursor::new(bytes)), name).map_err(|e| e.message)?;
        stream.read_to_end(&mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    fn gz() -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(TEXT).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn every_compression_is_recognised() {
        let twice = [gz(), gz()].concat();
        assert_eq!(read(gz(), "a.gz").unwrap(), TEXT);
        assert_eq!(read(twice, "a").unwrap(), [TEXT, TEXT].concat());
        assert_eq!(read(zstd::encode_all(TEXT, 1).unwrap(), "a.zst").unwrap(), TEXT);
        let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz.write_all(TEXT).unwrap();
        assert_eq!(read(bz.finish().unwrap(), "a.bz2").unwrap(), TEXT);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(TEXT).unwrap();
        assert_eq!(read(xz.finish().unwrap(), "a.xz").unwrap(), TEXT);
        let mut sz = snap::write::FrameEncoder::new(Vec::new());
        sz.write_all(TEXT).unwrap();
        assert_eq!(read(sz.into_inner().unwrap(), "a.sz").unwrap(), TEXT);
        assert_eq!(read(TEXT.to_vec(), "a.json").unwrap(), TEXT);
        assert_eq!(read(Vec::new(), "a.json").unwrap(), b"");
    }

    #[test]
    fn broken_compression_is_an_error() {
        let whole = gz();
        assert!(read(whole[..whole.len() - 9].to_vec(), "a.gz").is_err());
        assert!(read(TEXT.to_vec(), "a.gz").unwrap_err().contains("a.gz"));
        let mut damaged = gz();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        assert!(read(damaged, "a.gz").is_err());
    }
}
