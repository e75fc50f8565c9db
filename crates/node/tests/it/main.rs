//! The real binary from outside: tasks in, answers out, over HTTP, in one process and in many, killed and started again.

mod bad_input;
mod binary;
mod clients;
mod crash;
mod endpoints;
mod faults;
mod join;
mod journey;
mod lookups;
mod masters;
mod migration;
mod mixed;
mod page;
mod roles;
mod schemas;
mod spread;
mod storage;
mod supervisor;
mod takeover;
mod tasks;
