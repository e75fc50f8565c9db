//! The paths to the literals of a document, in the order in which Druid's `json_paths` gives them: level by level
//! (`StructuredDataProcessor`), gathered in Java hash sets, whose iteration order follows from the paths' hash codes.

use std::collections::VecDeque;

use serde_json::Value as Json;

/// A path as text, with Java's hash code of its list of parts.
#[derive(Clone)]
struct Path {
    text: String,
    hash: i32,
}

impl Path {
    fn root() -> Path {
        Path { text: "$".to_owned(), hash: 1 }
    }

    fn field(&self, key: &str) -> Path {
        let code = key.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)));
        let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let text = if plain { format!("{}.{key}", self.text) } else { format!("{}['{key}']", self.text) };
        self.then(text, code)
    }

    fn element(&self, index: usize) -> Path {
        self.then(format!("{}[{index}]", self.text), index as i32)
    }

    fn then(&self, text: String, code: i32) -> Path {
        let part = 31i32.wrapping_add(code);
        Path { text, hash: self.hash.wrapping_mul(31).wrapping_add(part) }
    }
}

/// All paths that end in a scalar or an array of scalars.
pub fn literal_paths(json: &Json) -> Vec<String> {
    if is_literal(json) {
        return vec!["$".to_owned()];
    }
    let mut queue = VecDeque::from([(Path::root(), json)]);
    let mut all = Vec::new();
    while let Some((path, json)) = queue.pop_front() {
        let children: Vec<(Path, &Json)> = match json {
            Json::Object(map) => map.iter().map(|(key, child)| (path.field(key), child)).collect(),
            Json::Array(items) => items.iter().enumerate().map(|(i, child)| (path.element(i), child)).collect(),
            _ => Vec::new(),
        };
        let mut found = Vec::new();
        for (path, child) in children {
            if is_literal(child) { found.push(path) } else { queue.push_back((path, child)) }
        }
        all.extend(hash_set_order(found));
    }
    hash_set_order(all).into_iter().map(|path| path.text).collect()
}

fn is_literal(json: &Json) -> bool {
    match json {
        Json::Object(_) => false,
        Json::Array(items) => items.iter().all(|item| !item.is_array() && !item.is_object()),
        _ => true,
    }
}

/// The order in which a `java.util.HashSet` gives what was put into it in this order: by bucket, then as put in.
fn hash_set_order(mut paths: Vec<Path>) -> Vec<Path> {
    let mut buckets = 16usize;
    while paths.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    paths.sort_by_key(|path| {
        let hash = path.hash as u32;
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_in_the_order_of_java_hash_sets() {
        let json = serde_json::json!({"a_str": "x", "a_num_int": 1, "a_num_float": 1.5, "a_bool": true, "a_null": null});
        assert_eq!(literal_paths(&json), ["$.a_str", "$.a_null", "$.a_num_int", "$.a_bool", "$.a_num_float"]);
        assert_eq!(literal_paths(&serde_json::json!([1, 2])), ["$"]);
        assert_eq!(literal_paths(&serde_json::json!([[1], {"b": 2}])), ["$[1].b", "$[0]"]);
    }
}
