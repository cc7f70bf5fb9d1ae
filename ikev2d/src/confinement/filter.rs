//! The system calls that a daemon needs that runs: it reads files, talks to the primary and to tools by sockets of the file system, and
//! makes memory and threads. It makes no connection to another host, runs no program, writes no file, looks into no process.
//!
//! What is refused fails with EPERM. That is as good as the end of the process against who has got into it, since nothing of what it refuses
//! can be had in another way; and a call that nobody has thought of costs a sentence, not the daemon of all peers.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// None could be made.
    #[error("cannot make a filter for system calls: {0}")]
    Made(#[from] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error("the kernel takes no filter for system calls (seccomp, CONFIG_SECCOMP_FILTER): {0}")]
    Taken(seccompiler::Error),
}

/// Calls that are allowed whatever is asked of them.
const ALLOWED: &[c_long] = &[
    // Descriptors.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // Names of files. What it removes are its own sockets and their folders.
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    // Sockets, which are all of the file system: see `limited`.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Memory.
    libc::SYS_brk,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_mlock,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
    // Threads, signals, time, randomness, the end.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
];

/// Older forms of some of these, which the C library of this architecture still uses.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Opening for anything but reading.
const WRITES: c_int = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
/// Making a process, or new namespaces, and not a thread.
const NO_THREAD: c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// The mode of the socket for tools: owner and group connect.
const SOCKET_MODE: u64 = 0o660;
/// No user: the owner stays. `uid_t` of -1.
const SAME_OWNER: u64 = u32::MAX as u64;

/// That an argument, counted from 0, has this in the bits of `mask`.
fn has(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(mask),
        value,
    )
}

/// Calls of which only some are allowed.
fn limited() -> Result<Vec<(c_long, SeccompRule)>, seccompiler::BackendError> {
    let whole = u64::from(u32::MAX);
    let bits = |bits: c_int| u64::from(bits.cast_unsigned());
    let is = |argument, value| has(argument, whole, value);
    let not = |argument, mask| has(argument, bits(mask), 0);
    let unix = bits(libc::AF_UNIX);
    let thread = bits(libc::CLONE_THREAD);
    let mut rules = vec![
        (libc::SYS_socket, vec![is(0, unix)?]),
        (libc::SYS_socketpair, vec![is(0, unix)?]),
        (libc::SYS_openat, vec![not(2, WRITES)?]),
        (libc::SYS_mmap, vec![not(2, libc::PROT_EXEC)?]),
        (libc::SYS_mprotect, vec![not(2, libc::PROT_EXEC)?]),
        (libc::SYS_clone, vec![has(0, thread | bits(NO_THREAD), thread)?]),
        (libc::SYS_prctl, vec![is(0, bits(libc::PR_SET_NAME))?]),
        // Itself alone: abort(3).
        (libc::SYS_tgkill, vec![is(0, u64::from(std::process::id()))?]),
        (libc::SYS_fchmodat, vec![is(2, SOCKET_MODE)?]),
        (libc::SYS_fchownat, vec![is(2, SAME_OWNER)?]),
    ];
    #[cfg(target_arch = "x86_64")]
    rules.extend([
        (libc::SYS_chmod, vec![is(1, SOCKET_MODE)?]),
        (libc::SYS_chown, vec![is(1, SAME_OWNER)?]),
        (libc::SYS_lchown, vec![is(1, SAME_OWNER)?]),
    ]);
    rules
        .into_iter()
        .map(|(call, conditions)| Ok((call, SeccompRule::new(conditions)?)))
        .collect()
}

fn errno(number: c_int) -> SeccompAction {
    SeccompAction::Errno(number.cast_unsigned())
}

/// The filter: what is allowed, and the one refusal that means "ask in the older way", in which flags can be seen.
fn programs() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = ALLOWED
        .iter()
        .chain(OLDER)
        .chain(&[libc::SYS_clone3])
        .map(|call| (*call, Vec::new()))
        .collect();
    for (call, rule) in limited()? {
        rules.entry(call).or_default().push(rule);
    }
    let allow = SeccompAction::Allow;
    let allowed = SeccompFilter::new(rules, errno(libc::EPERM), allow.clone(), arch)?;
    let older = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let older = SeccompFilter::new(older, allow, errno(libc::ENOSYS), arch)?;
    Ok([older.try_into()?, allowed.try_into()?])
}

/// Installs the filter for this thread and those that it makes. It cannot be taken off.
///
/// # Errors
///
/// The kernel has no such filters, or there is none for this architecture.
pub fn install() -> Result<(), FilterError> {
    for program in &programs()? {
        seccompiler::apply_filter(program).map_err(FilterError::Taken)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::net::UdpSocket;
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::thread;

    use nix::errno::Errno;
    use nix::sys::ptrace;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    use nix::unistd::Pid;

    use super::*;

    /// What a thread gives that has the filter: it is for that thread alone.
    fn filtered<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = thread::spawn(|| {
            install().unwrap();
            body()
        });
        thread.join().unwrap()
    }

    fn is_refused<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
    }

    #[test]
    fn no_program_runs_and_no_process_is_made() {
        // If it ran, it would be this process, and no success.
        assert!(is_refused(filtered(|| Err::<(), _>(
            Command::new("/bin/false").exec()
        ))));
        assert!(is_refused(filtered(|| Command::new("/bin/true").status())));
    }

    #[test]
    fn there_are_no_sockets_but_those_of_the_file_system() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            assert!(UdpSocket::bind(address).is_ok());
            assert!(is_refused(filtered(move || UdpSocket::bind(address))));
        }
        for family in [AddressFamily::Netlink, AddressFamily::Packet] {
            let raw = move || socket(family, SockType::Raw, SockFlag::empty(), None::<SockProtocol>);
            assert_eq!(filtered(raw).unwrap_err(), Errno::EPERM);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let connected = filtered(move || {
            let listener = UnixListener::bind(&path)?;
            UnixStream::connect(&path)?;
            listener.accept()
        });
        connected.unwrap();
    }

    #[test]
    fn files_are_read_and_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (there, other) = (folder.path().join("there"), folder.path().join("other"));
        fs::write(&there, "as it was").unwrap();
        let (read, written) = (there.clone(), there.clone());
        assert_eq!(filtered(move || fs::read(read)).unwrap(), b"as it was");
        assert!(is_refused(filtered(move || File::create(other))));
        let write = move || OpenOptions::new().write(true).open(written);
        assert!(is_refused(filtered(write)));
        let mode = || fs::Permissions::from_mode(0o4755);
        let moded = there.clone();
        assert!(is_refused(filtered(move || fs::set_permissions(moded, mode()))));
        let owned = there.clone();
        assert!(is_refused(filtered(move || chown(owned, Some(1), None))));
        assert!(is_refused(filtered(move || fs::rename(
            &there,
            there.with_extension("x")
        ))));
        assert_eq!(fs::read(folder.path().join("there")).unwrap(), b"as it was");
    }

    #[test]
    fn others_are_neither_looked_into_nor_signalled() {
        let parent = nix::unistd::getppid();
        kill(parent, None::<Signal>).unwrap();
        assert_eq!(filtered(move || kill(parent, None::<Signal>)), Err(Errno::EPERM));
        let look = move || ptrace::seize(Pid::from_raw(i32::MAX), ptrace::Options::empty());
        assert_eq!(look(), Err(Errno::ESRCH));
        assert_eq!(filtered(look), Err(Errno::EPERM));
    }

    #[test]
    fn threads_inherit_it_and_can_be_made() {
        let in_another = || thread::spawn(|| UdpSocket::bind("127.0.0.1:0")).join().unwrap();
        assert!(is_refused(filtered(in_another)));
    }

    #[test]
    fn it_is_for_this_architecture_and_short() {
        for program in programs().unwrap() {
            // BPF_MAXINSNS of the kernel.
            assert!((1..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
