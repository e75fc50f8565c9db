//! `Partial::encode`: to bytes for another process. The layout is told in `wire.rs`.

use ovate_base::Result;

use super::wire::{FORMAT_VERSION, put_bytes, put_count, put_long, put_vector};
use super::{GroupsPartial, Partial, ScanPartial, SearchPartial, SegmentAnalysis};

impl Partial {
    /// The bytes that [`Partial::decode`] reads back.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = vec![b'O', b'V', b'P', FORMAT_VERSION];
        match self {
            Partial::Groups(groups) => {
                out.push(1);
                put_groups(groups, &mut out)?;
            }
            Partial::Scan(scan) => {
                out.push(2);
                put_scan(scan, &mut out)?;
            }
            Partial::Search(search) => {
                out.push(3);
                put_search(search, &mut out);
            }
            Partial::TimeBoundary(boundary) => {
                out.push(4);
                for bound in [boundary.min, boundary.max] {
                    out.push(u8::from(bound.is_some()));
                    put_long(bound.unwrap_or(0), &mut out);
                }
            }
            Partial::SegmentMetadata(analyses) => {
                out.push(5);
                put_count(analyses.len() as u64, &mut out);
                for analysis in analyses {
                    put_bytes(SegmentAnalysis::to_wire_json(analysis).to_string().as_bytes(), &mut out);
                }
            }
        }
        Ok(out)
    }
}

fn put_groups(groups: &GroupsPartial, out: &mut Vec<u8>) -> Result<()> {
    put_count(groups.rows as u64, out);
    put_count(groups.buckets.len() as u64, out);
    groups.buckets.iter().for_each(|bucket| put_long(*bucket, out));
    for columns in [&groups.keys, &groups.aggregates] {
        put_count(columns.len() as u64, out);
        for column in columns {
            put_vector(column, out)?;
        }
    }
    Ok(())
}

fn put_scan(scan: &ScanPartial, out: &mut Vec<u8>) -> Result<()> {
    put_count(scan.signature.len() as u64, out);
    for (name, column_type) in &scan.signature {
        put_bytes(name.as_bytes(), out);
        put_bytes(column_type.as_ref().map(ToString::to_string).unwrap_or_default().as_bytes(), out);
    }
    put_count(scan.batches.len() as u64, out);
    for (segment, batch) in &scan.batches {
        put_bytes(segment.as_bytes(), out);
        put_count(batch.rows as u64, out);
        // A batch without columns still pays for its rows; see `wire.rs`.
        if batch.columns.is_empty() {
            out.resize(out.len() + batch.rows.div_ceil(8), 0);
        }
        for column in &batch.columns {
            put_vector(column, out)?;
        }
    }
    Ok(())
}

fn put_search(search: &SearchPartial, out: &mut Vec<u8>) {
    put_count(search.buckets.len() as u64, out);
    search.buckets.iter().for_each(|bucket| put_long(*bucket, out));
    put_count(search.hits.len() as u64, out);
    for hit in &search.hits {
        put_long(hit.bucket, out);
        put_bytes(hit.dimension.as_bytes(), out);
        out.push(u8::from(hit.value.is_some()));
        put_bytes(hit.value.as_deref().unwrap_or("").as_bytes(), out);
        put_count(hit.count, out);
    }
}
