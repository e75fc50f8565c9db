//! Sketch functions (EXP-12): estimates out of complex values, by the functions that the sketches register.

use super::Function;

pub(super) const FUNCTIONS: &[Function] = &[];
