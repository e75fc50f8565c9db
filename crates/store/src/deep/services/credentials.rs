//! The chain of credentials for S3 (`AWSCredentialsUtils.defaultAWSCredentialsProviderChain`): properties, a session file,
//! the environment, a profile; then what `object_store` finds itself: a web identity, the container's, the instance's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, StaticCredentialProvider};
use ovate_base::{DruidError, Properties, Result};
use parking_lot::Mutex;

use super::s3::S3Options;

/// The first of the chain that is there; `None` leaves the rest to the client.
pub fn provider(options: &S3Options) -> Result<Option<AwsCredentialProvider>> {
    if let Some((key, secret)) = &options.keys {
        return Ok(Some(fixed(key, secret, None)));
    }
    if let Some(file) = &options.session_file {
        let provider = SessionFile { file: file.clone(), read: Mutex::default() };
        // A file that cannot be read is said at start, not with the first segment.
        read_session(file)?;
        return Ok(Some(Arc::new(provider)));
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(key), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        return Ok(Some(fixed(&key, &secret, variable("AWS_SESSION_TOKEN"))));
    }
    if variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        return Ok(None);
    }
    Ok(profile(variable("AWS_SHARED_CREDENTIALS_FILE"), variable("HOME"), variable("AWS_PROFILE")))
}

fn fixed(key: &str, secret: &str, token: Option<String>) -> AwsCredentialProvider {
    let credential = AwsCredential { key_id: key.to_owned(), secret_key: secret.to_owned(), token };
    Arc::new(StaticCredentialProvider::new(credential))
}

/// Another process renews the file; it is read again after this.
const SESSION_FILE_AGE: Duration = Duration::from_secs(60);

/// `druid.s3.fileSessionCredentials` (`LazyFileSessionCredentialsProvider`).
struct SessionFile {
    file: PathBuf,
    read: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

impl std::fmt::Debug for SessionFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionFile({})", self.file.display())
    }
}

#[async_trait]
impl CredentialProvider for SessionFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut read = self.read.lock();
        if let Some((at, credential)) = read.as_ref().filter(|(at, _)| at.elapsed() < SESSION_FILE_AGE) {
            let _ = at;
            return Ok(credential.clone());
        }
        let fresh = read_session(&self.file)
            .map_err(|error| object_store::Error::Generic { store: "S3", source: error.message.into() })?;
        let fresh = Arc::new(fresh);
        *read = Some((Instant::now(), fresh.clone()));
        Ok(fresh)
    }
}

fn read_session(file: &Path) -> Result<AwsCredential> {
    let bad = |what: &str| DruidError::invalid_input(format!("{what}. druid.s3.fileSessionCredentials={}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| bad(&error.to_string()))?;
    let properties = Properties::parse(&text)?;
    let need = |name: &str| properties.get(name).map(str::to_owned).ok_or_else(|| bad(&format!("no {name} in the file")));
    Ok(AwsCredential { key_id: need("accessKey")?, secret_key: need("secretKey")?, token: Some(need("sessionToken")?) })
}

/// `~/.aws/credentials`, where it has the profile with plain keys.
fn profile(file: Option<String>, home: Option<String>, profile: Option<String>) -> Option<AwsCredentialProvider> {
    let file = file.map(PathBuf::from).or_else(|| home.map(|home| PathBuf::from(home).join(".aws/credentials")))?;
    let text = std::fs::read_to_string(file).ok()?;
    let (key, secret, token) = keys_of_profile(&text, profile.as_deref().unwrap_or("default"))?;
    Some(fixed(&key, &secret, token))
}

fn keys_of_profile(text: &str, wanted: &str) -> Option<(String, String, Option<String>)> {
    let mut inside = false;
    let (mut key, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == wanted;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            let slot = match name.trim() {
                "aws_access_key_id" => &mut key,
                "aws_secret_access_key" => &mut secret,
                "aws_session_token" => &mut token,
                _ => continue,
            };
            *slot = Some(value.trim().to_owned());
        }
    }
    Some((key?, secret?, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_by_its_name() {
        let text = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n# x\n[other]\naws_access_key_id=c\naws_secret_access_key=d\naws_session_token=e\n";
        assert_eq!(keys_of_profile(text, "default"), Some(("a".into(), "b".into(), None)));
        assert_eq!(keys_of_profile(text, "other"), Some(("c".into(), "d".into(), Some("e".into()))));
        assert_eq!(keys_of_profile(text, "third"), None);
    }

    #[test]
    fn a_session_file_has_three_values() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("session");
        std::fs::write(&file, "accessKey=a\nsecretKey=b\n").unwrap();
        assert!(read_session(&file).unwrap_err().message.contains("sessionToken"));
        std::fs::write(&file, "accessKey=a\nsecretKey=b\nsessionToken=c\n").unwrap();
        assert_eq!(read_session(&file).unwrap().token.as_deref(), Some("c"));
    }
}
