//! Names in deep storage, as Druid makes them: `DataSegmentPusher.getDefaultStorageDir`, its forms without colons, and the
//! check that what came from outside stays a name. Every storage takes its paths from here.

use ovate_base::time::format_iso;
use ovate_base::{DataSegment, DruidError, Result};

/// `<dataSource>/<start>_<end>/<version>/<partition>[/<uuid>]`, used by local disks, S3 and Google.
pub(crate) fn default_dir(segment: &DataSegment, unique: bool) -> Result<String> {
    let interval = format!("{}_{}", format_iso(segment.interval.start), format_iso(segment.interval.end));
    joined(segment, [&segment.data_source, &interval, &segment.version], unique)
}

/// The same without colons (`AzureDataSegmentPusher.getStorageDir`).
pub(crate) fn colonless_dir(segment: &DataSegment, unique: bool) -> Result<String> {
    joined(segment, [&segment.data_source, &basic_interval(segment), &segment.version.replace(':', "_")], unique)
}

/// `<dataSource>/<start>_<end>/<version>/<partition>_[<uuid>_]index.zip` (`HdfsDataSegmentPusher`).
pub(crate) fn hdfs_file(segment: &DataSegment, unique: bool) -> Result<String> {
    let version = segment.version.replace(':', "_");
    let name = match unique {
        true => format!("{}_{}_index.zip", segment.shard_spec.partition_num(), uuid::Uuid::new_v4()),
        false => format!("{}_index.zip", segment.shard_spec.partition_num()),
    };
    let parts = [&*segment.data_source, &basic_interval(segment), &version, &name];
    checked(segment, &parts)?;
    Ok(parts.join("/"))
}

/// A task id that can be a name; ids come from outside, and one with a separator would be another path.
pub(crate) fn checked_task_id(task_id: &str) -> Result<&str> {
    if task_id.is_empty() || task_id.contains(['/', '\\', '\0']) || task_id.starts_with('.') {
        return Err(DruidError::invalid_input(format!("bad task id [{task_id}]")));
    }
    Ok(task_id)
}

/// `prefix/name`, without a slash where there is no prefix.
pub(crate) fn below(prefix: &str, name: &str) -> String {
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

fn joined(segment: &DataSegment, parts: [&str; 3], unique: bool) -> Result<String> {
    checked(segment, &parts)?;
    let mut path = format!("{}/{}", parts.join("/"), segment.shard_spec.partition_num());
    if unique {
        path = format!("{path}/{}", uuid::Uuid::new_v4());
    }
    Ok(path)
}

/// A data source or version from outside must not lead out of the directory.
fn checked(segment: &DataSegment, parts: &[&str]) -> Result<()> {
    if parts.iter().any(|part| part.is_empty() || *part == "." || *part == ".." || part.contains(['/', '\0'])) {
        return Err(DruidError::invalid_input(format!("segment [{}] cannot be a path", segment.id())));
    }
    Ok(())
}

fn basic_interval(segment: &DataSegment) -> String {
    format!("{}_{}", basic(segment.interval.start), basic(segment.interval.end))
}

/// Joda's `basicDateTime`: `20240101T000000.000Z`.
fn basic(at: i64) -> String {
    let iso = format_iso(at);
    // A sign stays; the dashes and colons between digits go.
    let (sign, digits) = match iso.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", iso.as_str()),
    };
    format!("{sign}{}", digits.replace(['-', ':'], ""))
}

#[cfg(test)]
mod tests {
    use ovate_base::{Interval, SegmentId, ShardSpec};

    use super::*;

    #[test]
    fn paths_are_druids() {
        let interval = Interval::parse("2024-01-01/P1D").unwrap();
        let id = SegmentId::new("wiki", interval, "2024-02-01T10:00:00.000Z", 3);
        let segment = DataSegment::new(id, ShardSpec::Numbered { partition_num: 3, partitions: 0 });
        assert_eq!(
            default_dir(&segment, false).unwrap(),
            "wiki/2024-01-01T00:00:00.000Z_2024-01-02T00:00:00.000Z/2024-02-01T10:00:00.000Z/3"
        );
        assert_eq!(
            colonless_dir(&segment, false).unwrap(),
            "wiki/20240101T000000.000Z_20240102T000000.000Z/2024-02-01T10_00_00.000Z/3"
        );
        assert_eq!(
            hdfs_file(&segment, false).unwrap(),
            "wiki/20240101T000000.000Z_20240102T000000.000Z/2024-02-01T10_00_00.000Z/3_index.zip"
        );
        assert!(hdfs_file(&segment, true).unwrap().ends_with("_index.zip"));
    }
}
