//! DPDK's log, line by line with its level, to a function of the program instead of stderr or syslog.
//!
//! DPDK writes to a stdio stream; `install` gives it one (`fopencookie`) whose writes end here. DPDK flushes after
//! each message while the level of that message can still be asked for, on the thread that logs.

use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::errno::{Errno, ErrorLines};

/// The level of a log line, the most urgent first (DPDK's RTE_LOG_*, which are syslog's plus one).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum LogLevel {
    /// The system is unusable.
    Emergency = 1,
    /// Action must be taken at once.
    Alert,
    /// A critical condition.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal but significant.
    Notice,
    /// For information.
    Info,
    /// For debugging.
    Debug,
}

impl LogLevel {
    fn from_raw(level: i32) -> Self {
        match level {
            ..=1 => Self::Emergency,
            2 => Self::Alert,
            3 => Self::Critical,
            4 => Self::Error,
            5 => Self::Warning,
            6 => Self::Notice,
            7 => Self::Info,
            8.. => Self::Debug,
        }
    }
}

/// What receives the lines: level, and the line without its end. It is called on whichever thread logs and must
/// neither panic nor block for long; DPDK logs nothing on the packet path.
pub type Sink = fn(LogLevel, &str);

static SINK: RwLock<Sink> = RwLock::new(to_stderr);

/// Text that has not ended in a newline yet.
static UNFINISHED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

thread_local! {
    /// Where the lines of this thread, from a level on, are collected while it is in [`collect`].
    static COLLECTED: RefCell<Option<(LogLevel, ErrorLines)>> = const { RefCell::new(None) };
}

/// Sends DPDK's log to `sink` from now on. Until then it goes to stderr. May be called at any time, also before EAL
/// is started, which logs most.
pub fn set_sink(sink: Sink) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
}

fn to_stderr(_: LogLevel, line: &str) {
    eprintln!("{line}");
}

/// Makes DPDK log into this module. Once per process, before EAL is started.
pub(crate) fn install() -> Result<(), Errno> {
    let functions = dpdk_sys::cookie_io_functions_t {
        read: None,
        write: Some(write),
        seek: None,
        close: None,
    };
    // SAFETY: the mode is a C string, and the functions need no cookie. The stream is never closed, since DPDK may
    // log until the process ends.
    let stream = unsafe { dpdk_sys::fopencookie(ptr::null_mut(), c"w".as_ptr(), functions) };
    if stream.is_null() {
        return Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)));
    }
    // SAFETY: the stream is open and stays so.
    Errno::check(unsafe { dpdk_sys::rte_openlog_stream(stream) })
}

/// Keeps drivers quiet from here on: the stream is gone with EAL, and what destructors of some say at the end of the
/// process would land on stderr.
pub(crate) fn silence() {
    const EMERGENCY: u32 = 1;
    // SAFETY: it sets a variable of DPDK's.
    unsafe { dpdk_sys::rte_log_set_global_level(EMERGENCY) };
}

/// Runs `call` and answers, beside its result, the error lines that DPDK logged on this thread meanwhile.
pub(crate) fn collect_errors<R>(call: impl FnOnce() -> R) -> (R, ErrorLines) {
    collect(LogLevel::Error, call)
}

/// Runs `call` and answers, beside its result, the lines of `level` or worse that DPDK logged on this thread
/// meanwhile.
pub(crate) fn collect<R>(level: LogLevel, call: impl FnOnce() -> R) -> (R, ErrorLines) {
    COLLECTED.set(Some((level, ErrorLines::default())));
    let result = call();
    let lines = COLLECTED.take().map(|(_, lines)| lines);
    (result, lines.unwrap_or_default())
}

/// The stream's write function. A panic in the sink cannot unwind into C: it ends the process.
unsafe extern "C" fn write(_cookie: *mut c_void, text: *const c_char, size: usize) -> dpdk_sys::__ssize_t {
    // SAFETY: stdio hands over `size` bytes that stay for the length of this call.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), size) };
    // SAFETY: reads a thread-local integer that DPDK set before it wrote to the stream.
    let level = LogLevel::from_raw(unsafe { dpdk_sys::rte_log_cur_msg_loglevel() });
    let mut finished = {
        let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        unfinished.extend_from_slice(text);
        let end = unfinished
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        unfinished.drain(..end).collect::<Vec<u8>>()
    };
    // The lock is free again: the sink may call something that logs.
    finished.retain(|&byte| byte != b'\r' && byte != 0);
    for line in String::from_utf8_lossy(&finished)
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
    {
        deliver(level, line);
    }
    size as dpdk_sys::__ssize_t
}

fn deliver(level: LogLevel, line: &str) {
    // A thread that is ending has no collection any more.
    let _ = COLLECTED.try_with(|collected| {
        if let Some((least, lines)) = collected.borrow_mut().as_mut()
            && level <= *least
        {
            lines.push(line);
        }
    });
    let sink = *SINK.read().unwrap_or_else(PoisonError::into_inner);
    sink(level, line);
}

#[cfg(test)]
mod tests {
    use super::*;

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn remember(_: LogLevel, line: &str) {
        SEEN.lock().unwrap().push(line.to_owned());
    }

    #[test]
    fn lines_reach_the_sink_whole_however_they_were_written() {
        set_sink(remember);
        for part in ["EAL: first\nEAL: sec", "ond", "\n\nEAL: third\r\nrest"] {
            // SAFETY: pointer and length are those of a live string.
            let written = unsafe { write(ptr::null_mut(), part.as_ptr().cast(), part.len()) };
            assert_eq!(written, part.len() as dpdk_sys::__ssize_t);
        }
        assert_eq!(*SEEN.lock().unwrap(), ["EAL: first", "EAL: second", "EAL: third"]);
    }
}
