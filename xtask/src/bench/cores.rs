//! The two CPUs of a measurement.

use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};

use crate::error::Error;

/// Which CPU does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cores {
    /// Control threads, and whatever else runs.
    pub(super) control: usize,
    /// What is measured, alone.
    pub(super) measured: usize,
}

impl Cores {
    /// The first and the last CPU that we may use, which is also how [`tests::PrimaryBuilder`] shares them out.
    pub(super) fn choose() -> Result<Self, Error> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        Self::of((0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)))
    }

    fn of(mut allowed: impl DoubleEndedIterator<Item = usize>) -> Result<Self, Error> {
        match (allowed.next(), allowed.next_back()) {
            (Some(control), Some(measured)) => Ok(Self { control, measured }),
            _ => Err(Error::Unexpected(
                "a measurement needs two CPUs, one of them for nothing else; run this on a machine that has them, or widen the affinity"
                    .to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_cpu_is_not_the_one_for_everything_else() {
        let cores = Cores::of([2, 3, 7].into_iter()).unwrap();
        assert_eq!((cores.control, cores.measured), (2, 7));
        assert!(Cores::of([2].into_iter()).is_err());
    }
}
