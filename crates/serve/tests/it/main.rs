//! Tests of the serving roles from outside.

mod caches;
mod support;
mod wire;
