//! `druid.extensions.loadList`: what Druid loads from jars is built in here, or it is not. Each extension of Druid is known
//! by name, so that a list that was written for Druid is taken as it is where that is safe, and refused where it is not.

use ovate_base::{Properties, Result};

use super::registry::Notices;

/// What an extension's name stands for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// Its features are part of every build.
    BuiltIn,
    /// Not in this release; using what it brings is an error where it is used, so listing it is only worth a warning.
    Missed(&'static str),
    /// Ignoring it would leave a door open, or tasks nowhere to run.
    Refused(&'static str),
}

use Extension::{BuiltIn, Missed, Refused};

/// Druid's core and community extensions.
pub const EXTENSIONS: &[(&str, Extension)] = &[
    ("druid-aws-rds-extensions", Missed("passwords of a metadata store are given as properties")),
    ("druid-avro-extensions", Missed("the avro input formats")),
    ("druid-azure-extensions", BuiltIn),
    ("druid-basic-security", Refused("there is no authentication in this release")),
    ("druid-bloom-filter", BuiltIn),
    ("druid-catalog", Missed("the table catalog")),
    ("druid-consul-extensions", Refused("discovery is by ZooKeeper or by the metadata store")),
    ("druid-datasketches", BuiltIn),
    ("druid-ec2-extensions", Missed("starting workers on EC2")),
    ("druid-google-extensions", BuiltIn),
    ("druid-hdfs-storage", BuiltIn),
    ("druid-histogram", BuiltIn),
    ("druid-kafka-extraction-namespace", Missed("lookups from Kafka")),
    ("druid-kafka-indexing-service", Missed("Kafka supervisors")),
    ("druid-kerberos", Refused("there is no authentication in this release")),
    ("druid-kinesis-indexing-service", Missed("Kinesis supervisors")),
    ("druid-kubernetes-extensions", Refused("discovery is by ZooKeeper or by the metadata store")),
    ("druid-kubernetes-overlord-extensions", Refused("tasks run on MiddleManagers")),
    ("druid-lookups-cached-global", Missed("lookups cached from a URI or a database")),
    ("druid-lookups-cached-single", Missed("loading lookups")),
    ("druid-multi-stage-query", Missed("the multi-stage query task engine")),
    ("druid-orc-extensions", Missed("the orc input format")),
    ("druid-pac4j", Refused("there is no authentication in this release")),
    ("druid-parquet-extensions", BuiltIn),
    ("druid-protobuf-extensions", Missed("the protobuf input format")),
    ("druid-ranger-security", Refused("there is no authorisation in this release")),
    ("druid-s3-extensions", BuiltIn),
    ("druid-stats", BuiltIn),
    ("druid-testing-tools", Missed("helpers for tests of Druid")),
    ("mysql-metadata-storage", BuiltIn),
    ("postgresql-metadata-storage", BuiltIn),
    ("simple-client-sslcontext", Refused("there is no TLS between servers in this release")),
    ("aliyun-oss-extensions", Refused("deep storage on Aliyun")),
    ("ambari-metrics-emitter", Missed("the emitter")),
    ("druid-cassandra-storage", Refused("deep storage on Cassandra")),
    ("druid-cloudfiles-extensions", Refused("deep storage on Rackspace")),
    ("druid-compressed-bigdecimal", BuiltIn),
    ("druid-ddsketch", BuiltIn),
    ("druid-deltalake-extensions", Missed("the delta input source")),
    ("druid-distinctcount", BuiltIn),
    ("druid-exact-count-bitmap", BuiltIn),
    ("druid-iceberg-extensions", Missed("the iceberg input source")),
    ("druid-influx-extensions", Missed("the influx parser")),
    ("druid-influxdb-emitter", Missed("the emitter")),
    ("druid-momentsketch", BuiltIn),
    ("druid-moving-average-query", BuiltIn),
    ("druid-rabbit-indexing-service", Missed("RabbitMQ supervisors")),
    ("druid-redis-cache", BuiltIn),
    ("druid-spectator-histogram", BuiltIn),
    ("druid-tdigestsketch", BuiltIn),
    ("druid-thrift-extensions", Missed("the thrift parser")),
    ("druid-time-min-max", BuiltIn),
    ("druid-virtual-columns", Missed("map virtual columns")),
    ("dropwizard-emitter", Missed("the emitter")),
    ("gce-extensions", Missed("starting workers on GCE")),
    ("graphite-emitter", Missed("the emitter")),
    ("kafka-emitter", Missed("the emitter")),
    ("materialized-view-maintenance", Missed("materialized views")),
    ("materialized-view-selection", Missed("materialized views")),
    ("opentelemetry-emitter", Missed("the emitter")),
    ("opentsdb-emitter", Missed("the emitter")),
    ("prometheus-emitter", Missed("the emitter")),
    ("sqlserver-metadata-storage", Refused("the metadata store is SQLite, PostgreSQL or MySQL")),
    ("statsd-emitter", Missed("the emitter")),
];

/// What a name stands for; `None` for a jar of somebody's own.
pub fn find(name: &str) -> Option<Extension> {
    EXTENSIONS.iter().find(|(known, _)| *known == name).map(|(_, extension)| *extension)
}

/// Holds `druid.extensions.loadList` against the list.
pub fn check(properties: &Properties, notices: &mut Notices, refusals: &mut Vec<String>) -> Result<()> {
    for name in properties.list("druid.extensions.loadList")? {
        match find(&name) {
            Some(BuiltIn) => notices.infos.push(format!("built in. extension={name}")),
            Some(Missed(what)) => {
                notices.warnings.push(format!(
                    "not in this release, its features are errors where they are used. extension={name} features={what}"
                ));
            }
            Some(Refused(why)) => refusals.push(format!("druid.extensions.loadList names {name} ({why})")),
            None => refusals.push(format!("druid.extensions.loadList names {name} (unknown; jars cannot be loaded)")),
        }
    }
    Ok(())
}
