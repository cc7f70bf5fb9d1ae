//! Connections and time: how they end, what that frees, and how they get along with a changed configuration.

use super::Balancer;
use crate::counts::Count;
use crate::table::{Connection, Phase, There};

/// Connections that one call of [`Balancer::age`] looks at, of each sort.
const AT_A_TIME: u32 = 32;

impl Balancer {
    /// Does a bounded piece of what is due: ends connections and frees their ports. For each round; gives how many ended.
    #[inline]
    pub fn age(&mut self, now: u64) -> usize {
        if !self.table.is_due(now) && self.swept >= self.table.places() && self.table.first_ended().is_none()
        {
            return 0;
        }
        self.age_some(now)
    }

    fn age_some(&mut self, now: u64) -> usize {
        let mut ended = 0;
        let mut most = AT_A_TIME;
        while let Some(at) = self.table.over(now, &mut most) {
            self.end(at, now);
            ended += 1;
        }
        for _ in 0..AT_A_TIME {
            let Some(at) = self.table.ended_due(now) else {
                break;
            };
            self.finish(at);
        }
        let places = self.table.places();
        for _ in 0..AT_A_TIME {
            if self.swept >= places {
                self.swept = u32::MAX;
                break;
            }
            let is_live = self
                .table
                .get(self.swept)
                .is_some_and(|there| there.hot.phase == Phase::Live);
            if is_live && !self.settle(self.swept, now) {
                ended += 1;
            }
            self.swept += 1;
        }
        ended
    }

    /// Whether a connection goes by the present configuration; it is seen to. Of one that has ended, `true`.
    #[inline]
    pub(super) fn is_current(&mut self, at: u32, now: u64) -> bool {
        match self.table.get(at) {
            Some(connection)
                if connection.hot.epoch == self.epoch || connection.hot.phase == Phase::Ended =>
            {
                true
            }
            Some(_) => self.settle(at, now),
            None => false,
        }
    }

    /// Has a live connection go by the present configuration. `false`: what it belongs to is gone, and so is it.
    #[cold]
    fn settle(&mut self, at: u32, now: u64) -> bool {
        let Some(connection) = self.table.get(at).map(There::copied) else {
            return false;
        };
        let has_pool = self.prepared.pool_of(&connection).is_some();
        let current = self.prepared.belongs(&connection).filter(|_| has_pool);
        let service = current.and_then(|belongs| self.prepared.service(belongs.service));
        let service = service.filter(|service| service.admits(connection.ends().client));
        let (Some(belongs), Some(service)) = (current, service) else {
            self.end(at, now);
            return false;
        };
        let (epoch, fast_xmit) = (self.epoch, service.fast_xmit);
        if let Some(connection) = self.table.get_mut(at) {
            connection.hot.epoch = epoch;
            connection.hot.belongs = belongs;
            connection.hot.fast_xmit = fast_xmit;
        }
        true
    }

    /// Ends a live connection: from here on only errors about it are translated.
    pub(super) fn end(&mut self, at: u32, now: u64) {
        let Some(connection) = self
            .table
            .get(at)
            .filter(|there| there.hot.phase == Phase::Live)
            .map(There::copied)
        else {
            return;
        };
        self.count_end(&connection);
        let grace = self.cycles(self.policy.err_grace_s);
        self.table.end(at, now.wrapping_add(grace));
        if grace == 0 {
            self.finish(at);
        }
    }

    fn count_end(&mut self, connection: &Connection) {
        let was = if connection.hot.is_active() {
            Count::Active
        } else {
            Count::Inactive
        };
        for counts in self.prepared.counts_of(connection).into_iter().flatten() {
            counts.subtract(self.worker, was, 1);
        }
        if let Some(pool) = self.prepared.pool_of(connection) {
            pool.ended(self.worker);
        }
    }

    /// Takes a connection out of the table, and frees its port.
    pub(super) fn finish(&mut self, at: u32) {
        let Some(was) = self.table.remove(at) else {
            return;
        };
        if was.hot.phase == Phase::Live {
            self.count_end(&was);
        }
        if let Some(pool) = self.prepared.pool_of(&was) {
            pool.give(was.ends().local_port, self.worker);
        }
    }
}
