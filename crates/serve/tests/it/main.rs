//! Tests of the serving roles from outside.

mod support;
mod wire;
