//! What outlives this process: the IKE SAs, written down before anything leaves because of them, in memory that the primary holds.
//!
//! ```text
//!   engine ─ changes ─► journal, committed ─► datagrams, SAs ─► journal, carried out
//!                          │ descriptor, held by the primary
//!   the next daemon ◄──────┘ restore, reconcile, a journal of its own
//! ```

use std::time::Duration;

use control::punt::Punts;
use control::{sas, tables};
use ike_engine::{Engine, Time};
use shm::journal::{Journal, Left};

use super::clock::now;
use super::{Daemon, random};
use crate::plane::Before;

/// Room for what is written down before all is written down anew, bytes, and what of that is to be there.
const ROOM: usize = 256 * 1024;
const RESERVE: usize = 64 * 1024;
/// For so long what is out of date is there, keys of SAs that are gone among it, before all is written down anew.
const OUT_OF_DATE: Duration = Duration::from_secs(10);

impl Daemon {
    /// Takes up the IKE SAs of the daemon before, if there was one, and writes them down as its own.
    pub(super) fn take_up(&mut self, punts: &mut Punts) {
        let left = match punts.held() {
            Ok(None) => None,
            Ok(Some(memory)) => match Left::read(memory) {
                Ok(left) => Some(left),
                Err(error) => {
                    self.not_taken_up(&format!("what it left cannot be read: {error}"));
                    None
                }
            },
            Err(error) => {
                self.not_taken_up(&error.to_string());
                None
            }
        };
        let Some(left) = left else {
            return self.begin_journal(punts, None);
        };
        let now = now();
        let restored = self.engine.restore(now, &left.batches);
        for (ike, error) in &restored.left_out {
            self.notices.error(&format!("IKE SA {ike}: {error}"));
        }
        if restored.ignored > 0 {
            self.not_taken_up("another version wrote down a part of them");
        }
        if restored.ikes > 0 {
            let (count, plural) = (restored.ikes, if restored.ikes == 1 { "" } else { "s" });
            self.notices
                .say(&format!("takes up {count} IKE SA{plural} of the daemon before"));
        }
        self.adopt(now, left.before());
        self.begin_journal(punts, Some(left.before()));
        // Nobody takes it up once more, even where the primary has not taken another.
        left.wipe();
    }

    fn not_taken_up(&self, why: &str) {
        self.notices.error(&format!(
            "IKE SAs of the daemon before are not taken up, and their peers find that out by liveness: {why}"
        ));
    }

    /// Has the SAs of the primary made those of the engine, where `before` was carried out for sure.
    fn adopt(&mut self, now: Time, before: &[u8]) {
        let Ok(reader) = tables::open(&self.directory) else {
            return;
        };
        let mut older = Engine::new(
            now,
            self.config.settings,
            self.config.engine_profiles(),
            Box::new(random),
        );
        older.restore(now, before);
        let before = Before::of(&older.child_sas());
        let children = self.engine.child_sas();
        let adopted = self
            .plane
            .adopt(&sas::listed(&reader), children, &before, &self.config);
        self.engine.reconcile(now, &adopted.installed);
        for inbound in adopted.rekey {
            self.engine.rekey_child(now, inbound);
        }
    }

    /// Writes everything down in memory of its own, and has the primary hold that. `before` is what had been carried out already; `None`:
    /// all of it.
    pub(super) fn begin_journal(&mut self, punts: &mut Punts, before: Option<&[u8]>) {
        let all = self.engine.snapshot();
        let old = self.journal.take();
        self.written = None;
        let capacity = before.map_or(0, <[u8]>::len) + 2 * all.len() + ROOM;
        let made = Journal::new(capacity).map_err(|error| error.to_string());
        let held = made.and_then(|mut journal| {
            // There is room for twice as much.
            let mut is_written = true;
            if let Some(before) = before {
                is_written &= journal.append(before);
                journal.carried_out();
            }
            is_written &= journal.append(all.expose());
            if before.is_none() {
                journal.carried_out();
            }
            if !is_written {
                return Err("there is no room for them".to_owned());
            }
            let memory = journal.descriptor().map_err(|error| error.to_string())?;
            punts.hold(memory).map_err(|error| error.to_string())?;
            Ok(journal)
        });
        match held {
            Ok(journal) => {
                if !journal.is_locked() && !std::mem::replace(&mut self.swap_told, true) {
                    self.notices.say(
                        "keys that are kept for the next daemon may get into swap: give the process CAP_IPC_LOCK or more of \
                         RLIMIT_MEMLOCK",
                    );
                }
                self.journal = Some(journal);
            }
            Err(why) => self.not_kept(&why),
        }
        // What is out of date must not be taken up.
        if let Some(old) = old {
            old.wipe();
        }
    }

    fn not_kept(&self, why: &str) {
        self.notices.error(&format!(
            "IKE SAs are not kept for the next daemon, which will make others: {why}"
        ));
    }

    /// Writes down what has changed. Comes before anything that the engine gives.
    pub(super) fn write_down(&mut self, punts: &mut Punts) {
        let Some(batch) = self.engine.changes() else {
            return;
        };
        if let Some(journal) = &mut self.journal {
            if journal.append(batch.expose()) {
                self.written.get_or_insert(now());
            } else {
                self.begin_journal(punts, None);
            }
        }
    }

    /// Notes that all was done that was written down, and writes it down anew when there is little room or much that is out of date.
    pub(super) fn carried_out(&mut self, punts: &mut Punts) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        journal.carried_out();
        let is_old = |written| now().since(written) >= OUT_OF_DATE;
        if journal.room() < RESERVE || self.written.is_some_and(is_old) {
            self.begin_journal(punts, None);
        }
    }
}
