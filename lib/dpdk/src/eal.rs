//! EAL, DPDK's environment: started once in a process, shut down when nothing of it is in use any more.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::errno::{Errno, ErrorLines, start_reason};
use crate::handles::{self, InUse};
use crate::log::{self, LogLevel};
use crate::pool;

static STARTED: AtomicBool = AtomicBool::new(false);

/// DPDK, running in this process. There is one, ever: DPDK cannot be started a second time.
///
/// Dropped without [`Eal::shutdown`] it stays as it is until the process ends: memory mapped, hugepage files and
/// runtime directory (unless started with `--in-memory`) in place.
#[derive(Debug)]
#[must_use = "end it with shutdown(), which cleans up and finds leaks"]
pub struct Eal {
    // Not to be made outside, nor cloned: `&Eal` is the proof that EAL runs.
    _started: (),
}

/// Why EAL did not start.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// `init` was called before in this process, whatever came of it.
    #[error("DPDK was already started in this process and cannot be started twice: start another process")]
    AlreadyStarted,
    /// The shared libraries are of another release than the headers were.
    #[error(
        "this program was built for DPDK {built}, but DPDK {loaded} is what it loads: build it again, or install DPDK {built}"
    )]
    OtherRelease {
        /// The version of the headers.
        built: &'static str,
        /// The version of the libraries.
        loaded: String,
    },
    /// An argument cannot be a C string.
    #[error("the EAL argument {argument:?} contains a zero byte: remove it")]
    ZeroByte {
        /// The argument.
        argument: String,
    },
    /// The stream for the log could not be made.
    #[error("DPDK's log cannot be redirected: {errno}")]
    Log {
        /// What the C library said.
        errno: Errno,
    },
    /// rte_eal_init failed.
    #[error("DPDK did not start: {}", start_reason(*.errno, .log))]
    Init {
        /// `rte_errno`.
        errno: Errno,
        /// What DPDK logged, warnings too: that there are no free hugepages is one.
        log: ErrorLines,
    },
    /// EAL stopped reading its arguments before their end.
    #[error("DPDK did not read the EAL arguments {arguments:?}: remove what is not an option, and \"--\"")]
    NotRead {
        /// What it left over.
        arguments: Vec<String>,
    },
}

/// Why EAL was not shut down. Its memory stays mapped then, so what is left of it can still be used and dropped.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// Something is left.
    #[error("DPDK is not shut down because it is still in use: {in_use}")]
    InUse {
        /// What, and how many.
        in_use: InUse,
    },
    /// Not the thread that started EAL, whose packet cache might be in use at this moment.
    #[error("DPDK must be shut down by the thread that started it")]
    OtherThread,
    /// rte_eal_cleanup failed.
    #[error("DPDK could not clean up: {errno}{log}")]
    Cleanup {
        /// What it answered.
        errno: Errno,
        /// What DPDK logged.
        log: ErrorLines,
    },
}

impl Eal {
    /// Starts DPDK. `args` are EAL's own options, without a program name: `["-l", "0,1", "--in-memory"]`.
    ///
    /// The calling thread becomes the main lcore, and EAL binds it to that lcore's CPU; threads made by it later
    /// inherit that.
    pub fn init<S: AsRef<str>>(args: &[S]) -> Result<Self, EalError> {
        require_same_release()?;
        let program = std::env::args().next().unwrap_or_else(|| "dpdk".to_owned());
        let strings = std::iter::once(program.as_str())
            .chain(args.iter().map(AsRef::as_ref))
            .map(|argument| {
                CString::new(argument).map_err(|_| EalError::ZeroByte {
                    argument: argument.to_owned(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if STARTED.swap(true, Ordering::AcqRel) {
            return Err(EalError::AlreadyStarted);
        }
        log::install().map_err(|errno| EalError::Log { errno })?;

        // EAL permutes the array and may keep pointers into it, so both live as long as the process.
        let argc = strings.len() as c_int;
        let mut pointers: Vec<*mut c_char> = strings.into_iter().map(CString::into_raw).collect();
        pointers.push(std::ptr::null_mut());
        let argv = pointers.leak();
        // SAFETY: argv holds `argc` C strings and a null pointer, writable and never freed; STARTED makes this the
        // only call ever.
        let start = || unsafe { dpdk_sys::rte_eal_init(argc, argv.as_mut_ptr()) };
        let (read, log) = log::collect(LogLevel::Warning, start);
        if read < 0 {
            return Err(EalError::Init {
                errno: Errno::last(),
                log,
            });
        }
        // EAL answers the index of the last argument it read, and has put the program's name there.
        let arguments: Vec<String> = argv[..argc as usize]
            .iter()
            .skip(read as usize + 1)
            // SAFETY: these are the C strings made above.
            .map(|&argument| unsafe { CStr::from_ptr(argument) }.to_string_lossy().into_owned())
            .collect();
        if !arguments.is_empty() {
            // SAFETY: EAL is running and nothing has been made of it yet.
            unsafe { dpdk_sys::rte_eal_cleanup() };
            return Err(EalError::NotRead { arguments });
        }
        crate::mbuf::register_mark();
        Ok(Self { _started: () })
    }

    /// The release of the DPDK that is running, such as "22.11.11".
    pub fn version(&self) -> String {
        loaded_version()
    }

    /// Cleans up and gives all memory back, if nothing of it is in use any more: no port, queue, pool, ring or
    /// hugepage slice, no function running on an lcore, and no mbuf outside its pool. Otherwise it does nothing and
    /// says what is left, which finds leaked packets.
    pub fn shutdown(self) -> Result<(), ShutdownError> {
        // The main lcore's pool cache must not be in use while pools are counted and unmapped. Other lcores have
        // been joined, or are counted; threads outside EAL have no cache and finish a return before it is counted.
        // SAFETY: both read integers.
        if unsafe { dpdk_sys::rte_lcore_id() != dpdk_sys::rte_get_main_lcore() } {
            return Err(ShutdownError::OtherThread);
        }
        let handles = handles::live();
        let in_use = InUse {
            handles,
            mbufs: pool::outstanding(),
        };
        if !in_use.is_empty() {
            return Err(ShutdownError::InUse { in_use });
        }
        pool::forget_all();
        // SAFETY: nothing points into DPDK's memory any more, and without an Eal nothing new can be made.
        let (result, log) = log::collect_errors(|| unsafe { dpdk_sys::rte_eal_cleanup() });
        log::silence();
        Errno::check(result).map_err(|errno| ShutdownError::Cleanup { errno, log })
    }
}

/// Structures and inline code are those of the headers: libraries of another release would corrupt memory. Within
/// a release (22.11.1, 22.11.2) DPDK keeps its ABI.
fn require_same_release() -> Result<(), EalError> {
    let built = dpdk_sys::VERSION;
    let loaded = loaded_version();
    if release_of(built) == release_of(&loaded) {
        Ok(())
    } else {
        Err(EalError::OtherRelease { built, loaded })
    }
}

fn loaded_version() -> String {
    // SAFETY: answers a NUL-terminated string that is written once.
    let version = unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy();
    version.trim_start_matches("DPDK ").to_owned()
}

fn release_of(version: &str) -> Option<(&str, &str)> {
    let mut parts = version.split('.');
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_year_and_month() {
        assert_eq!(release_of("22.11.11"), release_of("22.11.0-rc1"));
        assert_ne!(release_of("22.11.11"), release_of("24.11.11"));
        assert_ne!(release_of("22.11.1"), release_of("22.07.1"));
    }

    #[test]
    fn the_loaded_libraries_are_of_the_release_that_was_built_for() {
        require_same_release().unwrap();
    }

    #[test]
    fn an_argument_with_a_zero_byte_is_refused_by_name() {
        let error = Eal::init(&["--lcores=\0"]).unwrap_err();
        assert!(matches!(error, EalError::ZeroByte { argument } if argument == "--lcores=\0"));
    }
}
