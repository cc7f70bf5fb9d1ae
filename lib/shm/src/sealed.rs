//! Memory without a name whose size is sealed, so that a mapping of it never ends in SIGBUS.

use std::ffi::CStr;
use std::fs::File;
use std::io;

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::mapping::Mapping;

/// What could not be done with it, as a verb, and the kernel's answer.
pub(crate) type Refusal = (&'static str, io::Error);

/// A memfd that can be sealed further, zeroed, with all its pages, and mapped. `bytes` is a whole number of pages.
pub(crate) fn sealed_memfd(name: &CStr, flags: MFdFlags, bytes: usize) -> Result<(File, Mapping), Refusal> {
    let flags = flags | MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create(name, flags).map_err(|errno| ("make", errno.into()))?);
    file.set_len(bytes as u64).map_err(|error| ("size", error))?;
    let length = i64::try_from(bytes).unwrap_or(i64::MAX);
    // Takes the pages now: one missing later would be SIGBUS.
    fallocate(&file, FallocateFlags::empty(), 0, length).map_err(|errno| ("allocate", errno.into()))?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|errno| ("seal", errno.into()))?;
    let mapping = Mapping::writable(&file, bytes).map_err(|error| ("map", error))?;
    Ok((file, mapping))
}
