//! Google Cloud Storage (`druid-google-extensions`, DEEP-03). Credentials are Google's own: the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names, the user's, or the instance's.

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use ovate_base::{DruidError, Result};

use super::{client_options, retries, unusable};
use crate::deep::blobs::{Blobs, ObjectBlobs};

/// A client for one bucket.
pub fn open(bucket: &str) -> Result<Arc<dyn Blobs>> {
    if bucket.is_empty() {
        return Err(DruidError::invalid_input("a Google bucket has no name; is druid.google.bucket set?"));
    }
    let name = format!("gs://{bucket}");
    // A service account's file may name another server (`gcs_base_url`), which then need not have a certificate.
    let options = client_options().with_allow_http(true);
    let mut builder =
        GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retries()).with_client_options(options);
    if let Some(file) = service_account() {
        builder = builder.with_service_account_path(file);
    }
    let store = builder.build().map_err(|error| unusable(&name, error))?;
    Ok(Arc::new(ObjectBlobs::new(Arc::new(store), name)))
}

/// The file of `GOOGLE_APPLICATION_CREDENTIALS` where it is a service account's: read as such it may name a server too.
fn service_account() -> Option<String> {
    let file = std::env::var("GOOGLE_APPLICATION_CREDENTIALS").ok()?;
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
    (document["type"] == "service_account").then_some(file)
}
