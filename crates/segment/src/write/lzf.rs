//! LZF in the chunk format of Ning's compress-lzf, which Druid uses: chunks of up to 65535 bytes, each `ZV`, a type
//! byte, lengths, and either the bytes themselves or back references of up to 8 KiB distance and 264 bytes length.

const MAX_CHUNK: usize = 0xFFFF;
const MAX_DISTANCE: usize = 1 << 13;
const MAX_MATCH: usize = 264;
const MAX_LITERAL: usize = 32;
const HASH_BITS: u32 = 13;

/// Compresses `input` to the end of `out`.
pub(crate) fn compress(input: &[u8], out: &mut Vec<u8>) {
    for chunk in input.chunks(MAX_CHUNK) {
        let start = out.len();
        out.extend_from_slice(&[b'Z', b'V', 1, 0, 0]);
        out.extend_from_slice(&(chunk.len() as u16).to_be_bytes());
        let body = out.len();
        compress_chunk(chunk, out);
        let size = out.len() - body;
        if size + 2 >= chunk.len() {
            // It did not shrink: a plain chunk has one length only.
            out.truncate(start);
            out.extend_from_slice(&[b'Z', b'V', 0]);
            out.extend_from_slice(&(chunk.len() as u16).to_be_bytes());
            out.extend_from_slice(chunk);
        } else {
            out[start + 3..start + 5].copy_from_slice(&(size as u16).to_be_bytes());
        }
    }
}

fn compress_chunk(input: &[u8], out: &mut Vec<u8>) {
    let mut table = [u32::MAX; 1 << HASH_BITS];
    let (mut position, mut literal_start) = (0, 0);
    while position + 3 <= input.len() {
        let key = u32::from_be_bytes([0, input[position], input[position + 1], input[position + 2]]);
        let slot = &mut table[(key.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize];
        let candidate = *slot as usize;
        *slot = position as u32;
        let near = candidate < position && position - candidate <= MAX_DISTANCE;
        if !near || input[candidate..candidate + 3] != input[position..position + 3] {
            position += 1;
            continue;
        }
        write_literals(&input[literal_start..position], out);
        let limit = MAX_MATCH.min(input.len() - position);
        let length = 3 + (3..limit).take_while(|i| input[candidate + i] == input[position + i]).count();
        let (distance, code) = (position - candidate - 1, length - 2);
        if code < 7 {
            out.push(((code << 5) | (distance >> 8)) as u8);
        } else {
            out.push((0xE0 | (distance >> 8)) as u8);
            out.push((code - 7) as u8);
        }
        out.push((distance & 0xFF) as u8);
        position += length;
        literal_start = position;
    }
    write_literals(&input[literal_start..], out);
}

fn write_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(MAX_LITERAL) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(mut bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(&bytes[..2], b"ZV");
            let size = u16::from_be_bytes([bytes[3], bytes[4]]) as usize;
            if bytes[2] == 0 {
                all.extend_from_slice(&bytes[5..5 + size]);
                bytes = &bytes[5 + size..];
                continue;
            }
            let body = &bytes[7..7 + size];
            bytes = &bytes[7 + size..];
            let (mut i, base) = (0, all.len());
            while i < body.len() {
                let control = body[i] as usize;
                i += 1;
                if control < 32 {
                    all.extend_from_slice(&body[i..=i + control]);
                    i += control + 1;
                    continue;
                }
                let mut length = control >> 5;
                if length == 7 {
                    length += body[i] as usize;
                    i += 1;
                }
                let distance = ((control & 31) << 8 | body[i] as usize) + 1;
                i += 1;
                assert!(all.len() - base >= distance);
                for _ in 0..length + 2 {
                    all.push(all[all.len() - distance]);
                }
            }
        }
        all
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut seed = 7u64;
        let mut random = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            (seed >> 33) as u8
        };
        for alphabet in [1u8, 2, 5, 50, 255] {
            for length in [0, 1, 2, 3, 31, 32, 33, 300, 5000, 65535, 65536, 100_000] {
                let input: Vec<u8> = (0..length).map(|_| random() % alphabet).collect();
                let mut out = Vec::new();
                compress(&input, &mut out);
                assert!(decompress(&out) == input, "alphabet {alphabet} length {length}");
            }
        }
    }
}
