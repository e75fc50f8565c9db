//! The room `net`: see ARCHITECTURE.md.
