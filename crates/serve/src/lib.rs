//! `serve`: the roles that answer queries - Historical, Broker, Router. Never writes metadata.

pub mod broker;
pub mod cache;
mod clock;
pub mod data_server;
mod finish;
pub mod flight;
pub mod historical;
pub mod jvm;
pub mod lookup;
mod older_words;
pub mod postgres;
pub mod request_log;
mod respond;
pub mod router;
pub mod running;
pub mod spill;
mod work;
