//! The planner from outside, by topic.

mod annotations;
mod bytes;
mod platforms;
mod properties;
mod selection;
mod sources;
mod transfers;
