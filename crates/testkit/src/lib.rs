//! `testkit`: what the tests share - where `../shared` is, a sandbox that runs the real binary in a directory of its own,
//! a client that speaks to it, and real servers of other kinds. Never shipped.

pub mod cluster;
pub mod coordination;
pub mod proxy;
pub mod sandbox;
pub mod services;
pub mod shared;

pub use cluster::{Cluster, ClusterSettings};
pub use sandbox::{Sandbox, SandboxSettings};
pub use shared::{shared_dir, skip};
