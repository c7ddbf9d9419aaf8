//! The result of one source.

use std::borrow::Cow;

/// The result of reading a source.
#[derive(Debug, Clone)]
pub(in crate::auth) enum Lookup<T> {
    Found(T),
    /// There is no credential, for this reason.
    Nothing(Cow<'static, str>),
}

impl<T> Lookup<T> {
    pub(super) const NOT_SET: Self = Self::Nothing(Cow::Borrowed("not set"));

    pub(super) fn nothing(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Nothing(reason.into())
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Found(value) => Lookup::Found(change(value)),
            Self::Nothing(reason) => Lookup::Nothing(reason),
        }
    }
}
