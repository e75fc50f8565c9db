//! The room `control`: see ARCHITECTURE.md.
