//! Tests of the serving roles from outside.

mod accelerator;
mod broker_cache;
mod caches;
mod lazy;
mod support;
mod wire;
