//! Text matching shared by filters, expressions and extraction functions: LIKE patterns, Java regular expressions, UTF-16
//! positions.

mod format;
mod like;
mod regex;
mod utf16;

pub use format::java_format;
pub use like::LikePattern;
pub use regex::java_regex;
pub use utf16::{utf16_len, utf16_slice};
