//! Grouping: from columns of small integers (dictionary codes or interned values) to group numbers, and from partial
//! results to merged ones. Rows never meet strings here.

mod interner;
mod merger;
mod partition;
mod shared;
mod spilled;
mod table;

pub(crate) use interner::{BytesInterner, NumberInterner};
pub(crate) use merger::{GroupMerger, double_bits, float_bits, number_vector};
pub(crate) use partition::partition;
pub use shared::SharedDictionaries;
pub(crate) use shared::{CodeMap, SharedDictionary};
pub(crate) use spilled::Spilled;
pub(crate) use table::GroupTable;
