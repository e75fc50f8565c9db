//! Facts of `control` that need real services.

mod contract;
mod zookeeper;
