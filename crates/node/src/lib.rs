//! The room `node`: see ARCHITECTURE.md.
