//! `ovate`: Apache Druid's job in one program. The binary only wires rooms together; see ARCHITECTURE.md.

mod cli;
mod config;
mod wiring;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    std::process::exit(cli::run());
}
