//! An HDFS of one name node and one data node: Hadoop's mini cluster from Maven, in a JVM of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Service, installed, pairs, start};

/// Starts it; `core-site.xml` in the service's directory under `conf` names it as the default file system.
pub async fn hdfs() -> Result<Service, String> {
    let jars = installed("mini/lib")?;
    let command = |dir: &Path| {
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-cp"]).arg(format!("{}/*", jars.display()));
        command.args(["org.apache.hadoop.test.MiniDFSClusterManager", "-datanodes", "1", "-format"]);
        command.arg("-writeDetails").arg(dir.join("details.json"));
        command
    };
    let mut service = start(command, |dir| {
        // `{"namenode_port":39511}`, written once the cluster is up.
        let text = fs::read_to_string(dir.join("details.json")).ok()?;
        let details: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(format!("hdfs://localhost:{}", details["namenode_port"].as_u64()?))
    })?;
    let conf = service.dir().join("conf");
    let site = format!(
        "<configuration><property><name>fs.defaultFS</name><value>{}</value></property>\
         <property><name>dfs.replication</name><value>1</value></property></configuration>",
        service.url
    );
    fs::create_dir_all(&conf).and_then(|()| fs::write(conf.join("core-site.xml"), site)).map_err(|e| e.to_string())?;
    service.properties = pairs([
        ("druid.storage.type", "hdfs".to_owned()),
        ("druid.storage.storageDirectory", format!("{}/druid/segments", service.url)),
        ("druid.indexer.logs.type", "hdfs".to_owned()),
        ("druid.indexer.logs.directory", format!("{}/druid/logs", service.url)),
    ]);
    Ok(service)
}
