//! Where roles listen.

use ovate_base::{DruidError, Properties, Result};
use ovate_net::NodeRole;

/// What to listen on: the host itself, or every address when that is asked for, as Druid does unless told otherwise.
pub fn bind(properties: &Properties, host: &str) -> Result<String> {
    let bind_on_host = properties.get("druid.bindOnHost").is_none() || properties.flag("druid.bindOnHost", true)?;
    let all = properties.flag("druid.server.http.bindAll", !bind_on_host)?;
    Ok(if all { "0.0.0.0".to_owned() } else { host.to_owned() })
}

/// Each role with its port. A Coordinator that is an Overlord too (`druid.coordinator.asOverlord.enabled`) has both on
/// one port, as Druid's shipped Master does.
pub fn ports(roles: &[NodeRole], properties: &Properties) -> Result<Vec<(NodeRole, u16)>> {
    let mut roles = roles.to_vec();
    if roles.contains(&NodeRole::MiddleManager) && roles.contains(&NodeRole::Indexer) {
        return Err(DruidError::invalid_input(
            "a process is a middleManager, whose tasks are processes, or an indexer, whose tasks are threads",
        ));
    }
    let both = roles.contains(&NodeRole::Coordinator) && properties.flag("druid.coordinator.asOverlord.enabled", false)?;
    if both {
        roles.retain(|role| *role != NodeRole::Overlord);
    }
    // `druid.plaintextPort` is one role's own property in Druid; with several roles each may be set by its name.
    let own = properties.get("druid.plaintextPort").filter(|_| roles.len() == 1);
    let port = |role: NodeRole| -> Result<(NodeRole, u16)> {
        let name = format!("druid.{}.plaintextPort", role.name());
        let Some(text) = properties.get(&name).or(own) else { return Ok((role, role.default_port())) };
        text.trim()
            .parse()
            .map(|port| (role, port))
            .map_err(|_| DruidError::invalid_input(format!("[{text}] is not a port. property={name}")))
    };
    let mut ports = roles.iter().map(|role| port(*role)).collect::<Result<Vec<_>>>()?;
    if both && let Some(at) = ports.iter().position(|(role, _)| *role == NodeRole::Coordinator) {
        ports.insert(at + 1, (NodeRole::Overlord, ports[at].1));
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_that_is_an_overlord_too_has_one_port() {
        let properties = Properties::parse("druid.coordinator.asOverlord.enabled=true\ndruid.plaintextPort=9081").unwrap();
        let one = [(NodeRole::Coordinator, 9081), (NodeRole::Overlord, 9081)];
        assert_eq!(ports(&[NodeRole::Coordinator], &properties).unwrap(), one);
        let apart = ports(&[NodeRole::Coordinator, NodeRole::Overlord], &Properties::default()).unwrap();
        assert_eq!(apart, [(NodeRole::Coordinator, 8081), (NodeRole::Overlord, 8090)]);
    }

    #[test]
    fn every_address_is_listened_on_only_when_asked_for() {
        let bind = |text: &str| bind(&Properties::parse(text).unwrap(), "h").unwrap();
        assert_eq!([bind(""), bind("druid.bindOnHost=true"), bind("druid.bindOnHost=false")], ["h", "h", "0.0.0.0"]);
        assert_eq!(bind("druid.server.http.bindAll=true"), "0.0.0.0");
    }
}
