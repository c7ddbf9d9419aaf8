//! Somebody wants the run to end early: Ctrl-C, or SIGTERM from a CI system. Whoever works on something that needs
//! an orderly end waits for it beside the work. Knows no other room.

use std::time::Duration;

use tokio::sync::watch;

/// How long putting things in order may take: telling registries to forget uploads, looking where tags point now.
pub const GRACE: Duration = Duration::from_secs(2);

/// Told once, to everybody who has a copy.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Option<u8>>);

/// The one who tells.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Option<u8>>);

impl Interrupt {
    /// An interrupt that has not happened, and who can make it happen.
    pub fn new() -> (Interrupter, Self) {
        let (sender, receiver) = watch::channel(None);
        (Interrupter(sender), Self(receiver))
    }

    /// One that never happens.
    pub fn never() -> Self {
        Self::new().1
    }

    /// Waits until it happens; gives the number of the signal.
    pub async fn happened(&self) -> u8 {
        let mut receiver = self.0.clone();
        if let Ok(signal) = receiver.wait_for(Option::is_some).await
            && let Some(signal) = *signal
        {
            return signal;
        }
        // Nobody is left who could tell.
        std::future::pending().await
    }
}

impl Interrupter {
    /// Makes it happen.
    pub fn interrupt(&self, signal: u8) {
        self.0.send_replace(Some(signal));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_seen_before_and_after_it_happens_and_never_if_it_does_not() {
        let (interrupter, interrupt) = Interrupt::new();
        let waiting = interrupt.happened();
        interrupter.interrupt(15);
        assert_eq!(waiting.await, 15);
        assert_eq!(interrupt.clone().happened().await, 15);
        assert_eq!(Interrupt::never().happened().now_or_never(), None);
    }
}
