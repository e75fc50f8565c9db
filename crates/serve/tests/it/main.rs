//! Tests of the serving roles from outside.

mod accelerator;
mod broker_cache;
mod caches;
mod lazy;
mod memory_queue;
mod support;
mod wire;
