//! See HELPERS brief; filled by its owner.
