//! The context of the commands that use registries: environment, progress and stores.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::Arc;

use super::connection_args::ConnectionArgs;
use super::failure::Failure;
use super::publish_args::ProgressArg;
use super::signals;
use crate::auth::Keychain;
use crate::environment::Environment;
use crate::interrupt::Interrupt;
use crate::ops::Run;
use crate::progress::Observed;
use crate::registry::{Insecure, Registries, RegistrySettings};
use crate::report::{Console, ConsoleMode, JsonLines, Palette, Recorder, Wording};
use crate::spec::{Location, RegistryHost};
use crate::stores::Stores;
use crate::transport::{Timeouts, TlsProfile, Transport, TransportSettings};

/// How progress is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// Bars on a terminal, otherwise only notices, warnings and waits, because scripts expect the output of
    /// `docker manifest`.
    DropIn,
    /// The mode that an option sets.
    FromOption(ProgressArg),
}

impl Progress {
    /// Returns the mode of the console, or `None` for JSON events.
    fn mode(self) -> Option<ConsoleMode> {
        let is_terminal = std::io::stderr().is_terminal();
        match self {
            Self::DropIn | Self::FromOption(ProgressArg::Auto) if is_terminal => {
                Some(ConsoleMode::Terminal)
            }
            Self::DropIn | Self::FromOption(ProgressArg::None) => Some(ConsoleMode::Quiet),
            Self::FromOption(ProgressArg::Auto | ProgressArg::Plain) => Some(ConsoleMode::Lines),
            Self::FromOption(ProgressArg::Tty) => Some(ConsoleMode::Terminal),
            Self::FromOption(ProgressArg::Json) => None,
        }
    }
}

pub(super) struct Context<'a> {
    pub(super) environment: &'a Environment,
    pub(super) observed: Observed,
    /// How messages name options: as flags, or as inputs of the action.
    pub(super) wording: Wording,
    /// The notices and warnings so far.
    pub(super) recorder: Arc<Recorder>,
    pub(super) interrupt: Interrupt,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        progress: Progress,
        debug: bool,
        wording: Wording,
    ) -> Self {
        let observed: Observed = match progress.mode() {
            Some(mode) => {
                let palette = Palette::of_stderr(environment);
                Arc::new(Console::new(mode, debug, palette))
            }
            None => Arc::new(JsonLines { debug }),
        };
        let recorder = Arc::new(Recorder::new(observed));
        let observed: Observed = Arc::<Recorder>::clone(&recorder);
        Self {
            environment,
            wording,
            interrupt: signals::watch(Arc::clone(&observed)),
            observed,
            recorder,
        }
    }

    pub(super) fn run<'r>(&'r self, stores: &'r Stores) -> Run<'r> {
        Run {
            stores,
            observed: &self.observed,
            interrupt: &self.interrupt,
        }
    }

    /// Runs `work`, which needs no cleanup, until it is done or interrupted.
    pub(super) async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = work => outcome,
            signal = self.interrupt.happened() => Err(Failure::interrupted(signal)),
        }
    }

    /// Creates the stores of a command that names all its registries.
    pub(super) fn stores(&self, options: &ConnectionArgs) -> Stores {
        self.stores_of(options, None)
    }

    /// Creates the stores of a command that may also use registries that it does not name. `--insecure` applies only
    /// to the registries in `named`.
    pub(super) fn stores_naming<'p>(
        &self,
        options: &ConnectionArgs,
        named: impl IntoIterator<Item = &'p Location>,
    ) -> Stores {
        let named = named.into_iter().filter_map(Location::repository);
        let named = named.map(|repository| repository.registry().clone());
        self.stores_of(options, Some(named.collect()))
    }

    fn stores_of(&self, options: &ConnectionArgs, named: Option<BTreeSet<RegistryHost>>) -> Stores {
        // The certificate authority is also trusted for token servers and redirects.
        let tls = TlsProfile {
            ca_cert: options.ca_cert.clone(),
            ..TlsProfile::of_environment(self.environment)
        };
        let transport = Transport::new(
            TransportSettings {
                jobs: options.jobs.into(),
                retry_for: options.retry_for,
                tls: tls.clone(),
                timeouts: Timeouts::with_idle(options.idle_timeout),
                ..TransportSettings::of_environment(self.environment)
            },
            Arc::clone(&self.observed),
        );
        let settings = RegistrySettings {
            insecure: if options.insecure {
                Insecure::Named
            } else {
                Insecure::None
            },
            named,
            tls,
            max_manifest: options.max_manifest,
        };
        let keychain = Keychain::with_clouds(self.environment, transport.clone());
        Stores::new(Registries::new(transport, keychain, settings))
    }
}
