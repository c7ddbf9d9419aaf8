//! A mutex without poisoning. The data that it protects in this crate is valid after every statement.

use std::sync::{MutexGuard, PoisonError};

/// Like [`std::sync::Mutex`], except that a panic in another thread does not make [`Mutex::lock`] fail.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
