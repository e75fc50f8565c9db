//! The room `testkit`: see ARCHITECTURE.md.
