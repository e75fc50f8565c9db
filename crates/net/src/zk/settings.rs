//! Druid's properties of ZooKeeper: `druid.zk.service.*` (`ZkEnablementConfig`, `CuratorConfig`) and `druid.zk.paths.*`
//! (`ZkPathsConfig`), with Druid's defaults.

use std::time::Duration;

use ovate_base::{DruidError, Properties, Result};

use crate::discovery::NodeRole;

/// How to reach ZooKeeper, and where in it a cluster lives.
#[derive(Debug, Clone)]
pub struct ZkSettings {
    /// `host:port`s by comma, without a chroot (`druid.zk.service.host`).
    pub hosts: String,
    /// The chroot behind the hosts, `/…`, or empty.
    pub chroot: String,
    /// `druid.zk.service.sessionTimeoutMs`; the server may grant less or more.
    pub session_timeout: Duration,
    /// `druid.zk.service.connectionTimeoutMs`: silence after which another server is tried.
    pub connection_timeout: Duration,
    /// `druid.zk.service.compress`: announcements are gzipped. Both are always read.
    pub compress: bool,
    /// `druid.zk.service.authScheme` with `user:pwd`.
    pub auth: Option<(String, String)>,
    /// `druid.zk.service.acl`: only the creator may touch nodes.
    pub creator_acl: bool,
    /// `druid.zk.paths.base`.
    pub base: String,
    /// `druid.zk.paths.coordinatorPath`, `<base>/coordinator`.
    pub coordinator_path: String,
    /// `druid.zk.paths.overlordPath`, `<base>/overlord`.
    pub overlord_path: String,
}

impl ZkSettings {
    /// Reads the properties. `druid.zk.service.host` defaults to `localhost`; whether ZooKeeper is used is the caller's choice.
    pub fn from_properties(properties: &Properties) -> Result<ZkSettings> {
        let (hosts, chroot) = split_chroot(properties.text("druid.zk.service.host", "localhost"))?;
        let millis = |name: &str, default: i64| -> Result<Duration> {
            let value = properties.int(name, default)?;
            match u64::try_from(value) {
                Ok(value) if (1..=86_400_000).contains(&value) => Ok(Duration::from_millis(value)),
                _ => Err(DruidError::invalid_input(format!("{name} must be between 1 and 86400000, but is {value}"))),
            }
        };
        let base = path(properties, "druid.zk.paths.base", "/druid")?;
        let user = properties.get("druid.zk.service.user").filter(|user| !user.is_empty());
        let password = properties.text("druid.zk.service.pwd", "");
        let scheme = properties.text("druid.zk.service.authScheme", "digest");
        Ok(ZkSettings {
            hosts,
            chroot,
            session_timeout: millis("druid.zk.service.sessionTimeoutMs", 30_000)?,
            connection_timeout: millis("druid.zk.service.connectionTimeoutMs", 15_000)?,
            compress: properties.flag("druid.zk.service.compress", true)?,
            auth: user.map(|user| (scheme.to_owned(), format!("{user}:{password}"))),
            creator_acl: properties.flag("druid.zk.service.acl", false)?,
            coordinator_path: path(properties, "druid.zk.paths.coordinatorPath", &format!("{base}/coordinator"))?,
            overlord_path: path(properties, "druid.zk.paths.overlordPath", &format!("{base}/overlord"))?,
            base,
        })
    }

    /// The folder with the announcements of a role.
    pub fn announcements(&self, role: NodeRole) -> String {
        format!("{}/internal-discovery/{}", self.base, znode_name(role))
    }

    /// The folder of an elected role's leader latch; `None` for a role that is not elected.
    pub fn latch(&self, role: NodeRole) -> Option<String> {
        match role {
            NodeRole::Coordinator => Some(format!("{}/_COORDINATOR", self.coordinator_path)),
            NodeRole::Overlord => Some(format!("{}/_OVERLORD", self.overlord_path)),
            _ => None,
        }
    }

    /// Where small keys are; not one of Druid's folders.
    pub fn keys(&self) -> String {
        format!("{}/ovate-keys", self.base)
    }
}

/// Name of a role's folder (`NodeRole.toString`).
fn znode_name(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Coordinator => "COORDINATOR",
        NodeRole::Overlord => "OVERLORD",
        NodeRole::Broker => "BROKER",
        NodeRole::Historical => "HISTORICAL",
        NodeRole::MiddleManager => "MIDDLE_MANAGER",
        NodeRole::Indexer => "INDEXER",
        NodeRole::Peon => "PEON",
        NodeRole::Router => "ROUTER",
    }
}

fn split_chroot(text: &str) -> Result<(String, String)> {
    let text = text.trim();
    let (hosts, chroot) = text.find('/').map_or((text, ""), |at| text.split_at(at));
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
    if hosts.is_empty() {
        return Err(DruidError::invalid_input(format!("druid.zk.service.host names no host: [{text}]")));
    }
    let chroot = chroot.trim_end_matches('/');
    if !chroot.is_empty() {
        check_path("druid.zk.service.host", chroot)?;
    }
    Ok((hosts.join(","), chroot.to_owned()))
}

fn path(properties: &Properties, name: &str, default: &str) -> Result<String> {
    let path = properties.text(name, default).trim().trim_end_matches('/');
    check_path(name, path)?;
    Ok(path.to_owned())
}

fn check_path(name: &str, path: &str) -> Result<()> {
    let good = path.starts_with('/') && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."));
    if good { Ok(()) } else { Err(DruidError::invalid_input(format!("{name} is no path of ZooKeeper: [{path}]"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_druids() {
        let settings = ZkSettings::from_properties(&Properties::default()).expect("valid");
        assert_eq!((settings.hosts.as_str(), settings.chroot.as_str()), ("localhost", ""));
        assert_eq!(settings.session_timeout, Duration::from_secs(30));
        assert!(settings.compress && !settings.creator_acl && settings.auth.is_none());
        assert_eq!(settings.announcements(NodeRole::MiddleManager), "/druid/internal-discovery/MIDDLE_MANAGER");
        assert_eq!(settings.latch(NodeRole::Coordinator).as_deref(), Some("/druid/coordinator/_COORDINATOR"));
        assert_eq!(settings.latch(NodeRole::Overlord).as_deref(), Some("/druid/overlord/_OVERLORD"));
    }

    #[test]
    fn several_hosts_a_chroot_and_a_user() {
        let text = "druid.zk.service.host=a:1, b:2/over/there\ndruid.zk.paths.base=/mine/\ndruid.zk.service.user=u\ndruid.zk.service.pwd=p";
        let settings = ZkSettings::from_properties(&Properties::parse(text).expect("parses")).expect("valid");
        assert_eq!((settings.hosts.as_str(), settings.chroot.as_str()), ("a:1,b:2", "/over/there"));
        assert_eq!(settings.auth, Some(("digest".to_owned(), "u:p".to_owned())));
        assert_eq!(settings.latch(NodeRole::Overlord).as_deref(), Some("/mine/overlord/_OVERLORD"));
    }

    #[test]
    fn nonsense_names_its_property() {
        for line in ["druid.zk.paths.base=druid", "druid.zk.service.host=/only", "druid.zk.service.sessionTimeoutMs=0"] {
            let properties = Properties::parse(line).expect("parses");
            let error = ZkSettings::from_properties(&properties).expect_err("refused");
            assert!(error.message.contains(line.split('=').next().expect("a name")), "{error}");
        }
    }
}
