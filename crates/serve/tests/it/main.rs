//! Tests of the serving roles from outside.

mod accelerator;
mod caches;
mod support;
mod wire;
