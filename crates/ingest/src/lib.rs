//! The room `ingest`: see ARCHITECTURE.md.
