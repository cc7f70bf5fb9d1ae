//! Where EAL makes its directory in a test: EAL leaves one behind, whatever its options and however it ends.

/// Points EAL to a directory that goes when the test is over. Call it first.
pub(crate) fn temporary() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    // SAFETY: the test has just begun, and the only other thread waits for it to end.
    unsafe { std::env::set_var("RUNTIME_DIRECTORY", directory.path()) };
    directory
}
