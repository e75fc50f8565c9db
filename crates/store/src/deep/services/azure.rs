//! Azure Blob Storage (`druid-azure-extensions`, DEEP-04): `druid.azure.*` becomes a client for one container.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use ovate_base::{DruidError, Properties, Result};

use super::{client_options, retries, unusable};
use crate::deep::blobs::{Blobs, ObjectBlobs};

/// The account's place in the world, where nothing else is said.
const SUFFIX: &str = "blob.core.windows.net";

/// A client for one container. `druid.ovate.azure.endpoint` replaces the address that is made from account and suffix, for
/// emulators and gateways whose addresses are not hosts.
pub fn open(properties: &Properties, container: &str) -> Result<Arc<dyn Blobs>> {
    if container.is_empty() {
        return Err(DruidError::invalid_input("an Azure container has no name; is druid.azure.container set?"));
    }
    let text = |name: &str| properties.get(name).map(str::trim).filter(|value| !value.is_empty());
    let account = text("druid.azure.account").ok_or_else(|| DruidError::invalid_input("druid.azure.account must be set"))?;
    let protocol = text("druid.azure.protocol").unwrap_or("https");
    let suffix = text("druid.azure.storageAccountEndpointSuffix").unwrap_or(SUFFIX);
    let endpoint = match text("druid.ovate.azure.endpoint") {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("{protocol}://{account}.{suffix}"),
    };
    let mut retry = retries();
    retry.max_retries = usize::try_from(properties.int("druid.azure.maxTries", 3)?).unwrap_or(3).clamp(1, 20);
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(container)
        .with_client_options(client_options().with_allow_http(endpoint.starts_with("http://")))
        .with_endpoint(endpoint)
        .with_retry(retry);
    let chain = properties.flag("druid.azure.useAzureCredentialsChain", false)?;
    builder = match (text("druid.azure.key"), text("druid.azure.sharedAccessStorageToken")) {
        (Some(_), Some(_)) => {
            return Err(DruidError::invalid_input(
                "only one of druid.azure.key and druid.azure.sharedAccessStorageToken can be set",
            ));
        }
        (Some(key), None) => builder.with_access_key(key),
        (None, Some(token)) => builder.with_config(AzureConfigKey::SasKey, token),
        (None, None) if chain => match text("druid.azure.managedIdentityClientId") {
            Some(client) => builder.with_client_id(client),
            None => with_environment(builder),
        },
        (None, None) => {
            return Err(DruidError::invalid_input(
                "one of druid.azure.key, druid.azure.sharedAccessStorageToken and druid.azure.useAzureCredentialsChain must be set",
            ));
        }
    };
    let name = format!("azure://{account}/{container}");
    let store = builder.build().map_err(|error| unusable(&name, error))?;
    Ok(Arc::new(ObjectBlobs::new(Arc::new(store), name)))
}

/// What the environment says about the identity (`DefaultAzureCredential`); without any of it the instance's is asked for.
fn with_environment(mut builder: MicrosoftAzureBuilder) -> MicrosoftAzureBuilder {
    for (variable, key) in [
        ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
        ("AZURE_CLIENT_SECRET", AzureConfigKey::ClientSecret),
        ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
        ("AZURE_FEDERATED_TOKEN_FILE", AzureConfigKey::FederatedTokenFile),
    ] {
        if let Ok(value) = std::env::var(variable) {
            builder = builder.with_config(key, value);
        }
    }
    builder
}
