//! The room `engine`: see ARCHITECTURE.md.
