//! Whole tasks against actions in memory and a local directory: what they publish reads back.
