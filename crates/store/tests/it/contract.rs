//! What every deep storage and every store of task logs must do: round trips of small and large segments, replacement of
//! leftovers, deletion, names of the outside, and answers for what is not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovate_base::{DataSegment, Interval, Properties, SegmentId, ShardSpec};
use ovate_store::deep::services::{ServiceKind, hdfs_split};
use ovate_store::deep::{DeepStorage, StorageSources};
use ovate_testkit::services::Service;
use serde_json::json;

pub fn sources<'a>(properties: &'a Properties, base_dir: &'a Path) -> StorageSources<'a> {
    StorageSources { properties, base_dir, conf_dirs: vec![base_dir.join("conf")] }
}

pub fn segment(partition_num: i32) -> DataSegment {
    let interval = Interval::parse("2024-01-01/P1D").expect("an interval");
    let id = SegmentId::new("wiki", interval, "2024-02-01T10:00:00.000Z", partition_num);
    DataSegment::new(id, ShardSpec::Numbered { partition_num, partitions: 0 })
}

/// A segment with a load spec of a bucket and key.
pub fn named(kind: &str, bucket: &str, key: &str) -> DataSegment {
    let mut segment = segment(0);
    segment.load_spec = Some(json!({"type": kind, "bucket": bucket, "key": key, "path": key}));
    segment
}

/// One small segment there and back.
pub async fn check_small(properties: &Properties, base_dir: &Path) {
    let deep = sources(properties, base_dir).deep_storage().expect("settings are complete");
    let dir = tempfile::tempdir().expect("a directory");
    let (from, into) = (source(dir.path(), "small", 800), dir.path().join("into"));
    fs::create_dir(&into).expect("a directory");
    let pushed = deep.push(&from, &segment(7), true).await.expect("a push");
    deep.pull(&pushed, &into).await.expect("a pull");
    same_files(&from, &into);
    deep.kill(&pushed).await.expect("a kill");
}

/// A directory with the files of a segment; `filler` bytes that do not compress make it large.
fn source(dir: &Path, text: &str, filler: usize) -> PathBuf {
    let source = dir.join(format!("source-{text}"));
    fs::create_dir_all(&source).expect("a directory");
    fs::write(source.join("version.bin"), [0, 0, 0, 9]).expect("a file");
    fs::write(source.join("meta.smoosh"), text).expect("a file");
    let mut seed = 1u64;
    let noise = (0..filler / 8).flat_map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed ^ (seed >> 29)).to_le_bytes()
    });
    fs::write(source.join("00000.smoosh"), noise.collect::<Vec<u8>>()).expect("a file");
    source
}

fn same_files(a: &Path, b: &Path) {
    let names = |dir: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(a), names(b));
    for name in names(a) {
        assert!(fs::read(a.join(&name)).expect("a file") == fs::read(b.join(&name)).expect("a file"), "{name:?} differs");
    }
}

pub async fn check_segments(service: &Service) {
    let properties: Properties = service.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let deep = sources(&properties, service.dir()).deep_storage().expect("settings are complete");
    let dir = tempfile::tempdir().expect("a directory");
    let into = |name: &str| {
        let into = dir.path().join(name);
        fs::create_dir(&into).expect("a directory");
        into
    };
    // Small; pushed again with other contents, as a second attempt of a task does.
    let first = source(dir.path(), "first", 100);
    deep.push(&first, &segment(0), false).await.expect("a push");
    let second = source(dir.path(), "second!", 96);
    let pushed = deep.push(&second, &segment(0), false).await.expect("a second push");
    assert_eq!(pushed.size, 4 + 7 + 96);
    assert_eq!(deep.pull(&pushed, &into("small")).await.expect("a pull"), 107);
    same_files(&second, &dir.path().join("small"));
    // The load spec as the metadata store keeps it.
    let stored = DataSegment::from_json(&pushed.to_json()).expect("a segment");
    damaged_is_refused(&deep, &pushed, &properties, service, &into("damaged")).await;
    // Large: uploaded in parts, read in ranges.
    let large = source(dir.path(), "large", 20 << 20);
    let big = deep.push(&large, &segment(1), false).await.expect("a large push");
    deep.pull(&big, &into("large")).await.expect("a large pull");
    same_files(&large, &dir.path().join("large"));
    // Unique paths never meet.
    let unique = deep.push(&first, &segment(0), true).await.expect("a unique push");
    assert_ne!(unique.load_spec, pushed.load_spec);
    deep.kill(&unique).await.expect("a kill");
    assert_eq!(deep.pull(&stored, &into("again")).await.expect("a pull of the other"), 107);
    // Killed once and again.
    for segment in [&stored, &big] {
        deep.kill(segment).await.expect("a kill");
        deep.kill(segment).await.expect("a second kill");
        assert!(deep.pull(segment, &into(&format!("gone-{}", segment.shard_spec.partition_num()))).await.is_err());
    }
    assert_eq!(fs::read_dir(dir.path().join("gone-0")).expect("a directory").count(), 0, "nothing half is left");
    let mut foreign = segment(0);
    foreign.data_source = "../x".into();
    assert!(deep.push(&first, &foreign, false).await.is_err());
    foreign.load_spec = Some(json!({"type": "c*"}));
    assert_eq!(deep.pull(&foreign, dir.path()).await.expect_err("an unknown type").http_status(), 501);
}

pub async fn check_logs(service: &Service) {
    let properties: Properties = service.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let logs = sources(&properties, service.dir()).task_logs().expect("settings are complete");
    let id = "index_wiki_2024-01-01T00:00:00.000Z";
    let file = service.dir().join("task.log");
    fs::write(&file, "line one\nline two\n").expect("a file");
    logs.push_log(id, &file).await.expect("a push");
    logs.push_report(id, b"{}").await.expect("a push");
    assert_eq!(logs.log(id, 0).await.expect("a log").expect("there"), b"line one\nline two\n");
    assert_eq!(logs.log(id, 5).await.expect("a log").expect("there"), b"one\nline two\n");
    assert_eq!(logs.log(id, -4).await.expect("a log").expect("there"), b"two\n");
    assert_eq!(logs.report(id).await.expect("a report").expect("there"), b"{}");
    assert_eq!(logs.log("other", 0).await.expect("an answer"), None);
    assert!(logs.log("../task", 0).await.is_err());
    logs.kill(id).await.expect("a kill");
    logs.kill(id).await.expect("a second kill");
    assert_eq!(logs.report(id).await.expect("an answer"), None);
}

/// An archive whose bytes were changed or cut in the store is never taken; as it was, it is again.
async fn damaged_is_refused(
    deep: &Arc<dyn DeepStorage>,
    segment: &DataSegment,
    properties: &Properties,
    service: &Service,
    into: &Path,
) {
    let spec = segment.load_spec.as_ref().expect("a load spec");
    let text = |name: &str| spec[name].as_str().unwrap_or_default();
    let services = sources(properties, service.dir()).services();
    let (blobs, key) = match text("type") {
        "s3_zip" => (services.bucket(ServiceKind::S3, text("bucket")), text("key")),
        "google" => (services.bucket(ServiceKind::Google, text("bucket")), text("path")),
        "azure" => (services.bucket(ServiceKind::Azure, text("containerName")), text("blobPath")),
        _ => {
            let (bucket, path) = hdfs_split(text("path")).expect("a path");
            (services.bucket(ServiceKind::Hdfs, bucket), path)
        }
    };
    if !key.ends_with(".zip") {
        return;
    }
    let blobs = blobs.expect("a bucket");
    let blob = blobs.stat(key).await.expect("an answer").expect("the archive");
    let whole = blobs.read(&blob, 0..blob.size).await.expect("the archive").to_vec();
    let mut flipped = whole.clone();
    // In the noise of the first file, behind its header of 62 bytes.
    flipped[100] ^= 1;
    let cut = whole[..whole.len() - 30].to_vec();
    for bad in [flipped, cut] {
        blobs.put(key, bad.into()).await.expect("a put");
        assert!(deep.pull(segment, into).await.is_err());
    }
    blobs.put(key, whole.into()).await.expect("a put");
}
