//! Tests of the planner, by topic.

mod annotations;
mod bytes;
mod platforms;
mod properties;
mod selection;
mod sources;
mod transfers;
