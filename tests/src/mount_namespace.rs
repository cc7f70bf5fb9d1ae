//! Mount namespaces: for what a test mounts or unmounts without anybody else noticing.

use std::fs;

/// The words that run a shell script in a mount namespace of its own; words that follow are its arguments.
pub fn apart(script: &str) -> [&str; 8] {
    // In a chroot the root directory is no mount point, whose propagation could be changed.
    let propagation = if is_mount_point("/") {
        "--propagation=private"
    } else {
        "--propagation=unchanged"
    };
    ["unshare", "--mount", propagation, "--", "sh", "-c", script, "sh"]
}

fn is_mount_point(path: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(path))
}
