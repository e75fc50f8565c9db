//! Any bytes as a query document, and as a partial result: an error or a value that is written as it is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovate_query::{NativeQuery, Partial};

fuzz_target!(|data: &[u8]| {
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(data)
        && let Ok(query) = NativeQuery::from_json(&json)
    {
        let written = query.to_json();
        let again = NativeQuery::from_json(&written).expect("what is written is read");
        assert_eq!(again.to_json(), written);
    }
    if let Ok(partial) = Partial::decode(data) {
        let bytes = partial.encode().expect("what was decoded is encoded");
        Partial::decode(&bytes).expect("what is encoded is decoded");
    }
});
