//! A request to end the run early: Ctrl-C, or SIGTERM from a CI system. Work that needs an orderly end waits for its
//! own result and for the interrupt at the same time.

use std::time::Duration;

use tokio::sync::watch;

/// How long the clean-up may take: cancelling uploads, reading tags back.
pub const GRACE: Duration = Duration::from_secs(2);

/// Reports an interrupt to every clone.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Option<u8>>);

/// Triggers an [`Interrupt`].
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Option<u8>>);

impl Interrupt {
    /// Creates an interrupt that has not happened, and its trigger.
    pub fn new() -> (Interrupter, Self) {
        let (sender, receiver) = watch::channel(None);
        (Interrupter(sender), Self(receiver))
    }

    /// Creates an interrupt that never happens.
    pub fn never() -> Self {
        Self::new().1
    }

    /// Waits for the interrupt; returns the number of the signal.
    pub async fn happened(&self) -> u8 {
        let mut receiver = self.0.clone();
        if let Ok(signal) = receiver.wait_for(Option::is_some).await
            && let Some(signal) = *signal
        {
            return signal;
        }
        // The trigger was dropped.
        std::future::pending().await
    }
}

impl Interrupter {
    pub fn interrupt(&self, signal: u8) {
        self.0.send_replace(Some(signal));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_interrupt_is_seen_before_and_after_it_happens() {
        let (interrupter, interrupt) = Interrupt::new();
        let waiting = interrupt.happened();
        interrupter.interrupt(15);
        assert_eq!(waiting.await, 15);
        assert_eq!(interrupt.clone().happened().await, 15);
        assert_eq!(Interrupt::never().happened().now_or_never(), None);
    }
}
