//! `net`: how processes meet - discovery and election, the HTTP shell with Druid's error JSON, and a client whose every
//! call has a deadline. Knows nothing of what a query is.

pub mod announcement;
pub mod body;
pub mod client;
pub mod coordination;
pub mod discovery;
pub mod election;
pub mod embedded;
pub mod error;
pub mod server;
pub mod status;
pub mod view;
pub mod zk;

pub use body::JsonBody;
pub use client::HttpClient;
pub use coordination::{Coordination, TermSource};
pub use discovery::{DiscoveredNode, Discovery, DruidNode, NodeRole};
pub use election::{AlwaysLeader, LeaderSelector, Leadership};
pub use embedded::{EmbeddedCoordination, EmbeddedDiscovery};
pub use error::{ApiError, ApiResult};
pub use view::NodeView;
pub use zk::{ZkCoordination, ZkSettings};
