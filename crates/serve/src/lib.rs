//! `serve`: the roles that answer queries - Historical, Broker, Router. Never writes metadata.

pub mod broker;
mod clock;
pub mod data_server;
mod finish;
pub mod historical;
pub mod lookup;
pub mod router;
