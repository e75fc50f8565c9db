//! Input sources cut into parts for subtasks (`SplittableInputSource`): each part is an input source again. The same input
//! gives the same parts.

use ovate_base::segment::DataSegment;
use ovate_base::{Interval, Result};
use serde_json::{Value, json};

use super::cloud::CloudObject;
use super::{Lookup, Place, entities};
use crate::spec::InputSource;
use crate::spec::tuning::SplitHint;

/// The parts of a source that is read as bytes; `None` when it cannot be split. `json` is the source as it was posted.
pub fn bytes(source: &InputSource, json: &Value, hint: &SplitHint, lookup: Lookup<'_>) -> Result<Option<Vec<Value>>> {
    match source {
        InputSource::Inline { .. } | InputSource::Druid { .. } => Ok(None),
        InputSource::Local { .. } => {
            let mut files = Vec::new();
            for entity in entities(source, lookup)? {
                if let Place::File(path) = entity.place {
                    let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
                    files.push((size, path.display().to_string()));
                }
            }
            let part = |files: Vec<String>| {
                let mut part = json!({"type": "local", "files": files});
                if let Some(fields) = json.get("systemFields") {
                    part["systemFields"] = fields.clone();
                }
                part
            };
            Ok(Some(pack(files, hint).into_iter().map(part).collect()))
        }
        InputSource::Http { uris, .. } => {
            let part = |uri| {
                let mut part = json.clone();
                part["uris"] = json!([uri]);
                part
            };
            Ok(Some(uris.iter().map(part).collect()))
        }
        InputSource::Cloud(_) => {
            let mut objects = Vec::new();
            for entity in entities(source, lookup)? {
                if let Place::Cloud(object) = entity.place {
                    objects.push((object.blob.size, object));
                }
            }
            Ok(Some(pack(objects, hint).into_iter().map(|objects| cloud_part(json, &objects)).collect()))
        }
        InputSource::Combining { delegates } => {
            let mut all = Vec::new();
            for (delegate, json) in delegates.iter().zip(json["delegates"].as_array().into_iter().flatten()) {
                match bytes(delegate, json, hint, lookup)? {
                    Some(parts) => all.extend(parts),
                    None => return Ok(None),
                }
            }
            Ok(Some(all))
        }
    }
}

/// The source over these objects alone; what it says of credentials and endpoints stays.
fn cloud_part(json: &Value, objects: &[CloudObject]) -> Value {
    // `azureStorage` names an account before the container.
    let account = (json["type"] == "azureStorage").then(|| {
        let named = json["objects"][0]["bucket"].as_str().or(json["uris"][0].as_str()).or(json["prefixes"][0].as_str());
        let named = named.unwrap_or_default();
        named.split_once("://").map_or(named, |(_, rest)| rest).split('/').next().unwrap_or_default().to_owned()
    });
    let mut part = json.clone();
    if let Some(fields) = part.as_object_mut() {
        for name in ["uris", "prefixes", "objects", "objectGlob", "paths"] {
            fields.remove(name);
        }
        if json["type"] == "hdfs" {
            fields.insert("paths".to_owned(), json!(objects.iter().map(|object| &object.uri).collect::<Vec<_>>()));
            return part;
        }
        let place = |object: &CloudObject| {
            let (bucket, path) = (&object.location.bucket, &object.location.path);
            match &account {
                Some(account) => json!({"bucket": account, "path": format!("{bucket}/{path}")}),
                None => json!({"bucket": bucket, "path": path}),
            }
        };
        fields.insert("objects".to_owned(), objects.iter().map(place).collect());
    }
    part
}

/// The parts of a `druid` source: visible segments in order of time, those of one chunk together where the hint allows.
pub fn segments(
    data_source: &str,
    filter: Option<&Value>,
    mut visible: Vec<(DataSegment, Interval)>,
    hint: &SplitHint,
) -> Vec<Value> {
    visible.sort_by_key(|(segment, part)| (part.start, part.end, segment.shard_spec.partition_num()));
    let sized = visible.into_iter().map(|(segment, part)| {
        let size = u64::try_from(segment.size).unwrap_or(0);
        (size, json!({"segmentId": segment.id().to_string(), "intervals": [part.to_string()]}))
    });
    let part = |segments: Vec<Value>| json!({"type": "druid", "dataSource": data_source, "filter": filter, "segments": segments});
    pack(sized.collect(), hint).into_iter().map(part).collect()
}

/// Groups in order, each as large as the hint allows; one that is larger alone goes alone.
pub fn pack<T>(items: Vec<(u64, T)>, hint: &SplitHint) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0u64;
    for (size, item) in items {
        match groups.last_mut() {
            Some(group) if bytes.saturating_add(size) <= hint.bytes_max && group.len() < hint.files_max => {
                bytes += size;
                group.push(item);
            }
            _ => {
                bytes = size;
                groups.push(vec![item]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_order_and_limits() {
        let hint = SplitHint { bytes_max: 10, files_max: 2 };
        let items = vec![(4, 'a'), (6, 'b'), (1, 'c'), (1, 'd'), (1, 'e'), (99, 'f'), (1, 'g')];
        let texts: Vec<String> = pack(items, &hint).into_iter().map(String::from_iter).collect();
        assert_eq!(texts, ["ab", "cd", "e", "f", "g"]);
    }

    #[test]
    fn http_sources_split_by_address_and_keep_their_options() {
        let json = json!({"type": "http", "uris": ["http://a/1", "http://a/2"], "httpAuthenticationUsername": "u"});
        let storage = ovate_store::LocalDeepStorage::new(std::env::temp_dir(), false);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lookup = Lookup { storage: &storage, handle: runtime.handle() };
        let source = InputSource::from_json(&json).unwrap();
        let parts = bytes(&source, &json, &SplitHint::default(), lookup).unwrap().unwrap();
        assert_eq!(parts[1], json!({"type": "http", "uris": ["http://a/2"], "httpAuthenticationUsername": "u"}));
    }
}
