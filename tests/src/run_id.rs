//! Names that no other test, checkout or user of the host has.
//!
//! Every namespace, instance and temporary folder of one run carries the run's prefix `tg<run>-`, where `<run>` is the pid
//! of the process that started the run, in base 36. `cargo xtask` hands its own to the test processes through
//! the environment, which marks their children as well: what is left of a run can be found and removed.

use std::{
    env, fmt,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// The environment variable that carries the identity of a run to its processes.
pub const RUN_ID_VARIABLE: &str = "TOLLGATE_TEST_RUN";

/// Identity of one run of the demo or of the system tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// The run that this process belongs to: the one named in the environment, else its own.
    pub fn current() -> Self {
        env::var(RUN_ID_VARIABLE)
            .ok()
            .and_then(|id| Self::parse(&id))
            .unwrap_or_else(Self::of_this_process)
    }

    /// A run that this process starts.
    pub fn of_this_process() -> Self {
        Self(base36(std::process::id()))
    }

    /// The run named `text` (lower-case letters and digits), if it is well formed.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = !text.is_empty()
            && text.len() <= 7
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// What every name of this run starts with.
    pub fn prefix(&self) -> String {
        format!("tg{}-", self.0)
    }

    /// A name that nothing else has: the run, this process, a counter, and `label` for the human reader.
    pub fn unique(&self, label: &str) -> String {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        format!(
            "{}{}-{counter}-{label}",
            self.prefix(),
            base36(std::process::id())
        )
    }

    /// Whether `name` carries the prefix of another run.
    pub fn is_of_another_run(&self, name: &str) -> bool {
        prefixes(name).any(|id| id != self.0)
    }

    /// Whether `name` carries the prefix of another run whose process is alive.
    pub fn is_of_another_live_run(&self, name: &str) -> bool {
        let lives =
            |id| u32::from_str_radix(id, 36).is_ok_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        prefixes(name).any(|id| id != self.0 && lives(id))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The run identities in `name`: each `tg<run>-` that begins a word.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices("tg").filter_map(move |(at, _)| {
        let begins = name[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_ascii_alphanumeric());
        let (id, _) = name[at + 2..].split_once('-')?;
        (begins && RunId::parse(id).is_some()).then_some(id)
    })
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_36_reads_back() {
        for number in [0, 1, 35, 36, 4_194_304, u32::MAX] {
            assert_eq!(u32::from_str_radix(&base36(number), 36), Ok(number));
        }
    }

    #[test]
    fn names_of_one_run_differ_and_share_its_prefix() {
        let run = RunId::of_this_process();
        let (first, second) = (run.unique("host-a"), run.unique("host-a"));
        assert_ne!(first, second);
        assert!(first.starts_with(&run.prefix()) && second.starts_with(&run.prefix()));
    }

    #[test]
    fn a_live_process_marks_a_foreign_run_and_a_dead_or_own_one_does_not() {
        let mine = RunId("zzzzzz".to_owned());
        let live = base36(1);
        assert!(mine.is_of_another_live_run(&format!("/run/netns/tg{live}-5-0-host-a")));
        assert!(!mine.is_of_another_live_run(&format!("/run/netns/xtg{live}-5-0-host-a")));
        assert!(!mine.is_of_another_live_run("/run/netns/tgzzzzzz-5-0-host-a"));
        assert!(
            !RunId("1".to_owned()).is_of_another_live_run("tgzzzzzy-0"),
            "no process has that pid"
        );
        assert!(!mine.is_of_another_live_run("/run/lock"));
        assert!(
            mine.is_of_another_run("/run/netns/tgzzzzzy-5-0-host-a") && !mine.is_of_another_run("/run/lock")
        );
    }

    #[test]
    fn an_identity_that_could_escape_a_path_is_refused() {
        for text in ["", "../x", "a-b", "ABC", "toolongforapid"] {
            assert_eq!(RunId::parse(text), None, "{text}");
        }
    }
}
