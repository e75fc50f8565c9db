//! The room `serve`: see ARCHITECTURE.md.
