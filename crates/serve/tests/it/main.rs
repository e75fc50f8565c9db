//! Tests of the serving roles from outside.

mod accelerator;
mod broker_cache;
mod caches;
mod support;
mod wire;
