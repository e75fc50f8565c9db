//! What native queries answer, told as facts over small tables, and laws that hold for any table.

mod contributed;
mod facts;
mod laws;
mod moving_average;
mod order;
mod projections;
mod sources;
mod spill;
mod support;
mod written;
