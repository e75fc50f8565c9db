//! `serve`: the roles that answer queries - Historical, Broker, Router. Never writes metadata.

pub mod router;
