//! ZooKeeper's operations as we need them: each with a deadline, folders made on the way, data gzipped as Curator's
//! compression provider does, and read either way.

use std::io::{Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use ovate_base::{Category, DruidError, Persona, Result};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

use super::ZkSettings;

/// Longest wait for one operation.
pub(super) const OPERATION: Duration = Duration::from_secs(10);
/// Largest data of a node; ZooKeeper's own limit is about this (`jute.maxbuffer`), and compressed data must not grow beyond.
const DATA_BYTES_MAX: u64 = 1 << 20;

/// Runs one operation within its deadline.
pub(super) async fn within<T>(work: impl Future<Output = std::result::Result<T, Error>>) -> std::result::Result<T, Error> {
    tokio::time::timeout(OPERATION, work).await.unwrap_or(Err(Error::Timeout))
}

fn acls(settings: &ZkSettings) -> Acls<'static> {
    if settings.creator_acl { Acls::creator_all() } else { Acls::anyone_all() }
}

/// How nodes of a mode are made.
pub(super) fn options(settings: &ZkSettings, mode: CreateMode) -> CreateOptions<'static> {
    mode.with_acls(acls(settings))
}

/// Makes a folder and those above it; fine when it is there.
pub(super) async fn make_folder(client: &Client, settings: &ZkSettings, path: &str) -> std::result::Result<(), Error> {
    within(client.mkdir(path, &options(settings, CreateMode::Persistent))).await
}

/// Puts an ephemeral node of this session at `path`, in one step when one of an earlier session is still there.
pub(super) async fn put_ephemeral(
    client: &Client,
    settings: &ZkSettings,
    path: &str,
    data: &[u8],
) -> std::result::Result<(), Error> {
    let mode = options(settings, CreateMode::Ephemeral);
    // Somebody else may make or remove the node between two of our steps; that it happens again and again is absurd.
    for _ in 0..5 {
        match within(client.create(path, data, &mode)).await {
            Ok(_) => return Ok(()),
            Err(Error::NoNode) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                make_folder(client, settings, folder).await?;
            }
            Err(Error::NodeExists) => match within(client.get_data(path)).await {
                Ok((old, stat)) if old == data && stat.ephemeral_owner == client.session_id().0 => return Ok(()),
                Ok(_) => {
                    let mut writer = client.new_multi_writer();
                    writer.add_delete(path, None)?;
                    writer.add_create(path, data, &mode)?;
                    let written = async { writer.commit().await.map(drop).map_err(Error::from) };
                    match within(written).await {
                        Err(Error::NoNode | Error::NodeExists) => {}
                        other => return other,
                    }
                }
                Err(Error::NoNode) => {}
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    Err(Error::NodeExists)
}

/// Removes a node; fine when it is not there.
pub(super) async fn remove(client: &Client, path: &str) -> std::result::Result<(), Error> {
    match within(client.delete(path, None)).await {
        Ok(()) | Err(Error::NoNode) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Data as it is stored.
pub(super) fn encode(settings: &ZkSettings, data: &[u8]) -> Vec<u8> {
    if !settings.compress {
        return data.to_vec();
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len()), Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

/// Stored data as it was, gzipped or not; its first bytes tell.
pub(super) fn decode(data: &[u8]) -> Result<Vec<u8>> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(data.to_vec());
    }
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(data).take(DATA_BYTES_MAX + 1).read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() as u64 > DATA_BYTES_MAX => Err(DruidError::runtime("the data of a node of ZooKeeper is too large")),
        Ok(_) => Ok(plain),
        Err(error) => Err(DruidError::runtime(format!("damaged gzip in a node of ZooKeeper: {error}"))),
    }
}

/// Our error for one of ZooKeeper's.
pub(super) fn zk_error(what: &str, error: &Error) -> DruidError {
    let message = format!("ZooKeeper: {what}: {error}");
    match error {
        Error::NoAuth | Error::AuthFailed | Error::InvalidAcl => {
            DruidError::new(Persona::Operator, Category::Forbidden, "general", message)
        }
        _ => DruidError::service_unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzipped_and_plain_data_are_read_and_bombs_are_not() {
        let mut settings = ZkSettings::from_properties(&ovate_base::Properties::default()).expect("valid");
        let stored = encode(&settings, b"{}");
        assert_eq!(&stored[..2], [0x1f, 0x8b]);
        assert_eq!(decode(&stored).expect("reads"), b"{}");
        assert!(decode(&stored[..stored.len() - 9]).is_err());
        assert!(decode(&encode(&settings, &vec![0; 2 << 20])).is_err());
        settings.compress = false;
        assert_eq!(encode(&settings, b"{}"), b"{}");
        assert_eq!(decode(b"{}").expect("reads"), b"{}");
    }
}
