//! What is kept between runs to save round trips: facts about registries, nothing secret, nothing that matters
//! for correctness. So whatever is wrong with the file, it is as if it were not there.

mod configs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::{self, Access};
use crate::environment::Environment;
use crate::registry::{Facts, HostFacts};
use crate::spec::RegistryHost;

pub use configs::Configs;

/// The format of the file; another one is not read.
const VERSION: u32 = 1;
/// The most bytes of the file that are read.
const MAX_BYTES: u64 = 256 << 10;
/// The most registries that are kept: those learnt about last.
const MAX_HOSTS: usize = 200;
/// How long a fact is believed. Registries move their token servers, and a password should not go for ever to one
/// that was named once.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The facts of earlier runs, and where those of this one go.
#[derive(Default)]
pub struct Cache {
    path: Option<PathBuf>,
    before: BTreeMap<RegistryHost, HostFacts>,
    facts: Facts,
}

/// One registry in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// When it was learnt, in seconds since 1970.
    learnt: u64,
    #[serde(flatten)]
    facts: HostFacts,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    hosts: BTreeMap<&'a str, &'a Entry>,
}

/// Read leniently: an entry that makes no sense leaves the others alone.
#[derive(Deserialize)]
struct Read {
    version: u32,
    hosts: BTreeMap<String, Value>,
}

type Entries = BTreeMap<RegistryHost, Entry>;

impl Cache {
    /// Knows nothing and keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads what earlier runs left, if the environment names a place for it.
    pub fn open(environment: &Environment) -> Self {
        let path = disk::cache_directory(environment).map(|dir| dir.join("registries.json"));
        let entries = path.as_deref().map(read).unwrap_or_default();
        let before: BTreeMap<_, _> = entries
            .into_iter()
            .map(|(host, entry)| (host, entry.facts))
            .collect();
        Self {
            path,
            facts: Facts::new(before.clone()),
            before,
        }
    }

    /// What is known, to be added to by the run.
    pub fn facts(&self) -> Facts {
        self.facts.clone()
    }

    /// Writes what this run has learnt, if it has learnt anything. What others have written in the meantime is
    /// kept. A place that cannot be written to costs nothing but the next run's round trips.
    pub fn save(&self) {
        let Some(path) = &self.path else { return };
        let mut learnt = self.facts.all();
        learnt.retain(|host, facts| self.before.get(host) != Some(facts));
        if learnt.is_empty() {
            return;
        }
        let mut entries = read(path);
        let now = now();
        entries.extend(learnt.into_iter().map(|(host, facts)| {
            let entry = Entry { learnt: now, facts };
            (host, entry)
        }));
        let bytes = written(&entries);
        if disk::create_directory(disk::directory_of(path), Access::Private).is_ok() {
            let _ = disk::write(path, &bytes, Access::Private);
        }
    }
}

fn read(path: &Path) -> Entries {
    match disk::read_own(path, MAX_BYTES) {
        Ok(Some(bytes)) => parsed(&bytes, now()),
        _ => Entries::new(),
    }
}

/// The entries that can be understood and are not too old.
fn parsed(bytes: &[u8], now: u64) -> Entries {
    let Ok(Read {
        version: VERSION,
        hosts,
    }) = serde_json::from_slice(bytes)
    else {
        return Entries::new();
    };
    hosts
        .into_iter()
        .filter_map(|(host, entry)| {
            let entry: Entry = serde_json::from_value(entry).ok()?;
            let age = now.checked_sub(entry.learnt)?;
            (age < LIFETIME.as_secs()).then_some((host.parse().ok()?, entry))
        })
        .collect()
}

fn written(entries: &Entries) -> Vec<u8> {
    let mut newest: Vec<_> = entries.iter().collect();
    newest.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.learnt));
    newest.truncate(MAX_HOSTS);
    let file = Written {
        version: VERSION,
        hosts: newest
            .into_iter()
            .map(|(host, entry)| (host.as_str(), entry))
            .collect(),
    };
    serde_json::to_vec(&file).expect("text keys and plain values are always JSON")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::registry::Authorization;

    fn open(home: &Path) -> Cache {
        let home = home.to_str().unwrap();
        Cache::open(&[("POLYARCH_HOME", home)].into_iter().collect())
    }

    fn facts(realm: &str) -> HostFacts {
        HostFacts {
            tls: Some(true),
            http2: Some(true),
            authorization: Some(Authorization::Bearer {
                realm: realm.into(),
                service: None,
            }),
            many_tags: None,
        }
    }

    /// A run that learns this.
    fn learn(home: &Path, host: &str, what: &HostFacts) {
        let mut cache = open(home);
        let mut all = cache.facts.all();
        all.insert(host.parse().unwrap(), what.clone());
        cache.facts = Facts::new(all);
        cache.save();
    }

    #[test]
    fn what_one_run_learns_the_next_one_knows() {
        let home = tempfile::tempdir().unwrap();
        let what = facts("https://auth.example/token");
        learn(home.path(), "a.example", &what);
        let known = open(home.path()).facts().all();
        assert_eq!(known.into_values().collect::<Vec<_>>(), [what]);
    }

    #[test]
    fn two_runs_at_once_keep_what_both_have_learnt() {
        let home = tempfile::tempdir().unwrap();
        let mut first = open(home.path());
        learn(home.path(), "b.example", &facts("https://b.example/t"));
        first.facts = Facts::new([("a.example".parse().unwrap(), facts("x"))].into());
        first.save();
        assert_eq!(open(home.path()).facts().all().len(), 2);
    }

    #[test]
    fn a_run_that_learns_nothing_writes_nothing() {
        let home = tempfile::tempdir().unwrap();
        open(home.path()).save();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_were_not_there() {
        let now = 1_000_000_000;
        let file = |version: u32, host: &str, learnt: u64, rest: &str| {
            format!(r#"{{"version":{version},"hosts":{{"{host}":{{"learnt":{learnt}{rest}}}}}}}"#)
        };
        assert_eq!(parsed(file(1, "a.io", now, "").as_bytes(), now).len(), 1);
        for text in [
            file(2, "a.io", now, ""),
            file(1, "a.io", now + 1, ""),
            file(1, "a.io", now - LIFETIME.as_secs(), ""),
            file(1, "../a b", now, ""),
            file(1, "a.io", now, r#","tls":"yes""#),
            file(1, "a.io", now, r#","authorization":{"ntlm":{}}"#),
            "[".repeat(100_000),
            "null".to_owned(),
            String::new(),
        ] {
            assert!(parsed(text.as_bytes(), now).is_empty(), "{text}");
        }
        let two = r#"{"version":1,"hosts":{"a.io":7,"b.io":{"learnt":999999999}}}"#;
        assert_eq!(parsed(two.as_bytes(), now).len(), 1);
    }

    #[test]
    fn a_file_that_is_too_large_or_no_file_is_replaced_or_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("cache");
        fs::create_dir(&dir).unwrap();
        let path = dir.join("registries.json");
        fs::write(&path, vec![b' '; 300_000]).unwrap();
        learn(home.path(), "a.example", &facts("x"));
        assert_eq!(open(home.path()).facts().all().len(), 1);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        learn(home.path(), "a.example", &facts("x"));
        assert!(open(home.path()).facts().all().is_empty());
    }

    #[test]
    fn the_newest_are_kept() {
        let entries: Entries = (0..300)
            .map(|number| {
                let host: RegistryHost = format!("r{number}.example").parse().unwrap();
                let entry = Entry {
                    learnt: 1_000 + number,
                    facts: HostFacts::default(),
                };
                (host, entry)
            })
            .collect();
        let kept = parsed(&written(&entries), 2_000);
        assert_eq!(kept.len(), MAX_HOSTS);
        assert!(kept.values().all(|entry| entry.learnt >= 1_100));
    }
}
