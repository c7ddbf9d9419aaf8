//! Reports of results and progress: text, JSON, files, GitHub, GitLab.

mod changes;
mod ci;
mod comparison;
mod console;
mod events;
mod executables;
mod files;
#[cfg(test)]
mod fixture;
mod format;
pub mod github;
pub mod gitlab;
mod hints;
mod inspection;
mod json;
mod listing;
mod operations;
mod palette;
mod recorder;
mod result;
mod results;
mod text;
mod tree;

pub use changes::{PreviousEntry, PreviousIndex, compare};
pub use ci::CiSystem;
pub use comparison::{ChangeKind, Comparison, PlatformChange, Previous};
pub use console::{Console, ConsoleMode};
pub use events::JsonLines;
pub use executables::ExecutableResult;
pub use files::{FileError, Files, dotenv};
pub use format::human_size;
pub use hints::Wording;
pub use inspection::{Inspection, InspectionChild};
pub use json::{publish_json, publish_json_line};
pub use listing::{drafts_json, drafts_table};
pub use palette::{Palette, Tone};
pub use recorder::Recorder;
pub use result::{
    EntryResult, ErrorResult, IndexResult, NoticeResult, Status, TagResult, TargetResult,
};
pub use results::{Results, UnplannedResult};
pub use text::publish_text;
