//! The document a process announces itself with, Druid's `DiscoveryDruidNode` (`formats/cluster-protocols.md` 1.2), as we
//! write it and as JVM processes of several releases do. Bytes come from outside: whatever they hold, reading is bounded
//! and answers with an error.

use std::collections::BTreeMap;
use std::fmt;

use ovate_base::{DruidError, Result};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::discovery::NodeRole;

/// Where a process listens (`DruidNode`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DruidNode {
    pub service: String,
    /// Without the port.
    pub host: String,
    /// 0 when the node has no plaintext port.
    #[serde(deserialize_with = "port_or_none", serialize_with = "none_as_minus_one")]
    pub plaintext_port: u16,
    #[serde(default = "minus_one")]
    pub tls_port: i32,
    #[serde(default)]
    pub bind_on_host: bool,
    #[serde(default = "yes")]
    pub enable_plaintext_port: bool,
    #[serde(default)]
    pub enable_tls_port: bool,
    #[serde(default)]
    pub version: Option<String>,
    /// `druid.labels`.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

fn minus_one() -> i32 {
    -1
}

fn yes() -> bool {
    true
}

/// Druid writes −1 for a port that is off.
fn port_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u16, D::Error> {
    let port = Option::<i64>::deserialize(deserializer)?.unwrap_or(-1);
    if port < 0 { Ok(0) } else { u16::try_from(port).map_err(|_| serde::de::Error::custom(format!("{port} is no port"))) }
}

fn none_as_minus_one<S: serde::Serializer>(port: &u16, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_i32(if *port == 0 { -1 } else { i32::from(*port) })
}

impl DruidNode {
    /// `host:port`, the name Druid knows a process by.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.plaintext_port)
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.plaintext_port)
    }
}

/// One announcement (`DiscoveryDruidNode`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredNode {
    pub druid_node: DruidNode,
    pub node_type: NodeRole,
    /// `dataNodeService`, `lookupNodeService`, `workerNodeService` by key.
    #[serde(default, deserialize_with = "services")]
    pub services: Map<String, Value>,
    #[serde(default)]
    pub start_time: Option<String>,
    #[serde(default)]
    pub available_processors: Option<i64>,
    #[serde(default)]
    pub total_memory: Option<i64>,
}

impl DiscoveredNode {
    /// Reads an announcement; one without a plaintext port is refused, since we speak plain HTTP to other processes.
    pub fn parse(bytes: &[u8]) -> Result<DiscoveredNode> {
        let node: DiscoveredNode =
            serde_json::from_slice(bytes).map_err(|e| DruidError::runtime(format!("damaged announcement: {e}")))?;
        if node.druid_node.plaintext_port == 0 {
            let host = &node.druid_node.host;
            return Err(DruidError::unsupported(format!("the announcement of [{host}] has only a TLS port")));
        }
        Ok(node)
    }

    /// The document as Druid's processes read it: what we do not know of a node is there too, with Druid's word for unknown.
    pub fn to_json(&self) -> Vec<u8> {
        let mut document = serde_json::to_value(self).unwrap_or(Value::Null);
        document["druidNode"]["port"] = Value::from(-1);
        for unknown in ["availableProcessors", "totalMemory"] {
            if document[unknown].is_null() {
                document[unknown] = Value::from(-1);
            }
        }
        document.to_string().into_bytes()
    }
}

const DATA_NODE: &str = "dataNodeService";

/// The services of a node. Several releases write the key `type` twice in `dataNodeService`: the service's type and the
/// server's (`DataNodeService`); the one that is not the service's is the server type unless `serverType` says it.
fn services<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Map<String, Value>, D::Error> {
    struct Services;
    impl<'de> Visitor<'de> for Services {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("services by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut services = Map::new();
            while let Some(name) = map.next_key::<String>()? {
                let service =
                    if name == DATA_NODE { Value::Object(map.next_value::<DataNode>()?.0) } else { map.next_value::<Value>()? };
                services.insert(name, service);
            }
            Ok(services)
        }

        fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
            Ok(Map::new())
        }
    }
    deserializer.deserialize_any(Services)
}

struct DataNode(Map<String, Value>);

impl<'de> Deserialize<'de> for DataNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dataNodeService")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut fields = Map::new();
                let mut server_type = None;
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if name != "type" {
                        fields.insert(name, value);
                    } else if value != DATA_NODE {
                        server_type = Some(value);
                    }
                }
                fields.insert("type".to_owned(), Value::from(DATA_NODE));
                if let Some(server_type) = server_type {
                    fields.entry("serverType").or_insert(server_type);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(DataNode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_key_may_stand_twice() {
        let text = br#"{"druidNode":{"service":"druid/historical","host":"h","plaintextPort":8083,"port":-1,"tlsPort":-1},
            "nodeType":"historical","services":{"dataNodeService":
            {"type":"dataNodeService","tier":"hot","maxSize":5,"type":"historical","priority":1}},"new":[1]}"#;
        let node = DiscoveredNode::parse(text).expect("read");
        let service = &node.services["dataNodeService"];
        assert_eq!(service["type"], "dataNodeService");
        assert_eq!(service["serverType"], "historical");
        assert_eq!(node.druid_node.host_and_port(), "h:8083");
    }

    #[test]
    fn what_we_write_reads_back_and_has_the_fields_a_jvm_expects() {
        let text = br#"{"druidNode":{"service":"s","host":"h","plaintextPort":1},"nodeType":"broker","services":{}}"#;
        let mut node = DiscoveredNode::parse(text).expect("read");
        let written: Value = serde_json::from_slice(&node.to_json()).expect("JSON");
        assert!(written["druidNode"].as_object().is_some_and(|node| node["labels"].is_null()));
        node.druid_node.labels = Some([("location".to_owned(), "rack 1".to_owned())].into());
        let written: Value = serde_json::from_slice(&node.to_json()).unwrap_or(written);
        assert_eq!(written["druidNode"]["labels"]["location"], "rack 1");
        assert_eq!(written["druidNode"]["port"], -1);
        assert_eq!(written["totalMemory"], -1);
        assert_eq!(DiscoveredNode::parse(&node.to_json()).expect("read").druid_node, node.druid_node);
    }

    #[test]
    fn a_node_with_tls_only_and_nonsense_are_refused() {
        let tls = br#"{"druidNode":{"service":"s","host":"h","plaintextPort":-1,"tlsPort":8281},"nodeType":"broker"}"#;
        assert!(DiscoveredNode::parse(tls).expect_err("no plaintext port").message.contains("TLS"));
        for bad in [&b"[]"[..], b"{", b"\xff\xfe", br#"{"druidNode":{"plaintextPort":99999}}"#] {
            assert!(DiscoveredNode::parse(bad).is_err());
        }
    }
}
