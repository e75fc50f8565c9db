//! Tidiness of the tree itself: allowed dependencies between rooms, headers of files, sizes.

mod rooms;
mod tidy;
