//! The Coordinator (being written).
#[derive(Debug, Clone, Default)]
pub struct CoordinatorSettings {}
pub struct Coordinator {}
