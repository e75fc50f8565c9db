//! `net`: how processes meet - discovery and election, the HTTP shell with Druid's error JSON, and a client whose every
//! call has a deadline. Knows nothing of what a query is.

pub mod body;
pub mod client;
pub mod discovery;
pub mod election;
pub mod error;
pub mod server;
pub mod status;

pub use body::JsonBody;
pub use client::HttpClient;
pub use discovery::{DiscoveredNode, Discovery, DruidNode, EmbeddedDiscovery, NodeRole};
pub use election::{AlwaysLeader, LeaderSelector, Leadership};
pub use error::{ApiError, ApiResult};
