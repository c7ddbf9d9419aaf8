//! What people and programs are shown. Knows the results of the other rooms, never how they came about.

mod console;
mod result;
mod tree;

pub use console::{Console, ConsoleMode};
pub use result::{
    EntryResult, ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult,
};
pub use tree::{human_size, tree_of_image, tree_of_index};
