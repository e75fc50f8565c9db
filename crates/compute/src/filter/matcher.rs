//! Matchers over batches of rows.
