//! What people and programs are shown. Knows the results of the other rooms, never how they came about.

mod ci;
mod console;
mod events;
mod files;
#[cfg(test)]
mod fixture;
pub mod github;
pub mod gitlab;
mod hints;
mod json;
mod recorder;
mod result;
mod results;
mod text;
mod tree;

pub use ci::CiSystem;
pub use console::{Console, ConsoleMode};
pub use events::JsonLines;
pub use files::{FileError, Files, dotenv};
pub use hints::Wording;
pub use json::{publish_json, publish_json_line};
pub use recorder::Recorder;
pub use result::{
    EntryResult, ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult,
};
pub use results::{Results, UnplannedResult};
pub use text::publish_text;
pub use tree::{human_size, tree_of_image, tree_of_index, tree_of_other};
