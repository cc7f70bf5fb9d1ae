//! What DPDK says when something fails: an error number, and the lines that it logged on the way.

use std::ffi::{CStr, c_int};
use std::fmt;

/// An error number of the C library or of DPDK (`rte_errno`), always positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// File exists (EEXIST).
    pub(crate) const EXIST: Self = Self(17);
    /// The operation is not supported (ENOTSUP).
    pub(crate) const NOT_SUPPORTED: Self = Self(95);
    /// The device or lcore is busy (EBUSY).
    pub(crate) const BUSY: Self = Self(16);
    /// There is not enough memory, or nothing left in a pool (ENOMEM).
    pub(crate) const NO_MEMORY: Self = Self(12);
    /// No space is left (ENOSPC).
    pub(crate) const NO_SPACE: Self = Self(28);
    /// A digest is not that of its message (EBADMSG).
    pub(crate) const BAD_MESSAGE: Self = Self(74);

    /// The calling thread's `rte_errno`.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a thread-local integer.
        Self(unsafe { dpdk_sys::shim_rte_errno() })
    }

    /// The result of a DPDK function that answers 0 (or more) or a negative error number.
    pub(crate) fn check(result: c_int) -> Result<(), Self> {
        if result < 0 { Err(Self(-result)) } else { Ok(()) }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: rte_strerror answers a NUL-terminated string for every number, in a buffer of this thread that
        // stays until its next call, and the text is written out before that.
        let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(self.0)) };
        write!(f, "{} (error {})", text.to_string_lossy(), self.0)
    }
}

/// The lines of level error or worse that DPDK logged during a call that failed, oldest first. The most precise is
/// often the first, and the last says only that something failed. Shown in brackets behind an error, or not at all
/// if there are none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErrorLines(Vec<String>);

impl ErrorLines {
    /// How many lines are kept; a failing call logs one to four.
    const MOST: usize = 8;

    pub(crate) fn push(&mut self, line: &str) {
        if self.0.len() < Self::MOST && self.0.last().is_none_or(|last| last != line) {
            self.0.push(line.to_owned());
        }
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// The last line, none if DPDK was silent.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }
}

/// Why a device could not be opened: DPDK's lines, without the ones that only say that it could not. Drivers answer
/// -1 for most failures, which reads as a lack of permission, so the number is shown only if there is nothing else.
pub(crate) fn probe_reason(errno: Errno, log: &ErrorLines) -> String {
    let says_nothing = |line: &str| {
        line.starts_with("EAL: Failed to attach device on primary")
            || line.starts_with("EAL: Driver cannot attach the device")
    };
    let lines: Vec<&str> = log
        .0
        .iter()
        .map(String::as_str)
        .filter(|line| !says_nothing(line))
        .collect();
    match (lines.is_empty(), errno.0) {
        (false, _) => lines.join("; "),
        (true, 1) => "its driver refuses it without a reason, check its arguments".to_owned(),
        (true, _) => errno.to_string(),
    }
}

/// Why EAL did not start: its own words. Its number is often "permission denied" where hugepages are lacking.
pub(crate) fn start_reason(errno: Errno, log: &ErrorLines) -> String {
    if log.0.is_empty() {
        errno.to_string()
    } else {
        log.0.join("; ")
    }
}

impl fmt::Display for ErrorLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " [{}]", self.0.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_shown_in_words_and_number() {
        assert_eq!(Errno(22).to_string(), "Invalid argument (error 22)");
    }

    #[test]
    fn a_probe_fails_for_what_the_driver_said_not_for_a_lack_of_permission() {
        let mut log = ErrorLines::default();
        log.push("EAL: Driver cannot attach the device (net_null0)");
        log.push("EAL: Failed to attach device on primary process");
        assert!(probe_reason(Errno(1), &log).contains("without a reason"));
        assert_eq!(probe_reason(Errno(19), &log), "No such device (error 19)");
        log.push("PMD: no such interface");
        assert_eq!(probe_reason(Errno(1), &log), "PMD: no such interface");
    }

    #[test]
    fn error_lines_are_bounded_and_not_repeated() {
        let mut lines = ErrorLines::default();
        assert_eq!(lines.to_string(), "");
        lines.push("EAL: a");
        lines.push("EAL: a");
        lines.push("EAL: b");
        assert_eq!(lines.to_string(), " [EAL: a; EAL: b]");
        assert_eq!(lines.last(), Some("EAL: b"));
        for number in 0..100 {
            lines.push(&number.to_string());
        }
        assert_eq!(lines.lines().len(), ErrorLines::MOST);
    }
}
