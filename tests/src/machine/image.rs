//! What the guest finds in its root directory: an archive that its kernel unpacks (cpio "newc", Documentation/driver-api/early-userspace
//! of the kernel).

use std::{
    collections::BTreeMap,
    fs, iter,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Wait, run};

use super::LIMIT;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;

/// Files, folders and links by their paths in the guest.
#[derive(Default)]
pub struct Image(BTreeMap<PathBuf, (u32, Vec<u8>)>);

impl Image {
    /// The folders of every system, merged into /usr as the host has them: libraries lie where their programs look for them.
    pub fn new() -> Self {
        let mut image = Self::default();
        for folder in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"] {
            image.folder(&Path::new("/").join(folder));
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            image.folder(&Path::new("/usr").join(name));
            image.link(&Path::new("/").join(name), &Path::new("usr").join(name));
        }
        image.link(Path::new("/var/run"), Path::new("/run"));
        image
    }

    fn folder(&mut self, path: &Path) {
        self.0.insert(path.to_owned(), (FOLDER, Vec::new()));
    }

    fn link(&mut self, path: &Path, target: &Path) {
        let target = target.as_os_str().as_bytes().to_vec();
        self.0.insert(path.to_owned(), (LINK, target));
    }

    /// A file with these permissions and contents, and the folders that it lies in.
    pub fn file(&mut self, path: &str, mode: u32, contents: impl Into<Vec<u8>>) {
        self.make_folders_of(Path::new(path));
        self.0.insert(path.into(), (FILE | mode, contents.into()));
    }

    /// A program or library of the host at the same place, as a link where it is one, with all that the loader loads for it. DPDK loads a
    /// driver twice if its two paths do not lead to one file.
    pub fn copy(&mut self, path: &Path) {
        self.copy_alone(path);
        self.libraries_of(path);
    }

    /// A program that was built here, in /usr/bin, with its libraries.
    pub fn program(&mut self, path: &Path) {
        let name = path.file_name().unwrap().to_str().unwrap();
        self.file(&format!("/usr/bin/{name}"), 0o755, fs::read(path).unwrap());
        self.libraries_of(path);
    }

    fn libraries_of(&mut self, path: &Path) {
        for library in libraries(path) {
            self.copy_alone(&library);
        }
    }

    fn copy_alone(&mut self, path: &Path) {
        // The folder without links, the file as it is.
        let folder = path.parent().unwrap().canonicalize().unwrap();
        let path = folder.join(path.file_name().unwrap());
        if self.0.contains_key(&path) {
            return;
        }
        self.make_folders_of(&path);
        let found = fs::symlink_metadata(&path).unwrap();
        if found.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            self.link(&path, &target);
            self.copy_alone(&folder.join(target));
        } else {
            let contents = fs::read(&path).unwrap();
            self.0.insert(path, (FILE | found.mode() & 0o777, contents));
        }
    }

    fn make_folders_of(&mut self, path: &Path) {
        for folder in path
            .ancestors()
            .skip(1)
            .filter(|folder| folder.parent().is_some())
        {
            if !self.0.contains_key(folder) {
                self.folder(folder);
            }
        }
    }

    /// The archive. A folder sorts before what is in it.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (number, (path, (mode, contents))) in (1..).zip(&self.0) {
            let name = path.strip_prefix("/").unwrap().as_os_str().as_bytes();
            append(&mut archive, number, *mode, name, contents);
        }
        append(&mut archive, 0, 0, b"TRAILER!!!", &[]);
        archive
    }
}

/// One entry: a header of hexadecimal numbers, the name, the contents, each padded to a multiple of four.
fn append(archive: &mut Vec<u8>, inode: u32, mode: u32, name: &[u8], contents: &[u8]) {
    let (uid, gid, links, time) = (0, 0, 1, 0);
    let (major, minor, device_major, device_minor, checksum) = (0, 0, 0, 0, 0);
    let size = u32::try_from(contents.len()).unwrap();
    let name_size = u32::try_from(name.len() + 1).unwrap();
    archive.extend(b"070701");
    for field in [
        inode,
        mode,
        uid,
        gid,
        links,
        time,
        size,
        major,
        minor,
        device_major,
        device_minor,
        name_size,
        checksum,
    ] {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.iter().chain(&[0]));
    pad(archive);
    archive.extend(contents);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    let missing = archive.len().next_multiple_of(4) - archive.len();
    archive.extend(iter::repeat_n(0, missing));
}

/// The paths of what the loader loads for a program or a library; none for a static one.
pub fn libraries(path: &Path) -> Vec<PathBuf> {
    let mut command = Command::new("ldd");
    command.arg(path);
    let said = run(command, Wait::Interruptible(LIMIT)).unwrap();
    said.stdout
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect()
}

#[test]
fn an_archive_holds_folders_before_their_files_and_ends_with_a_trailer() {
    let mut image = Image::default();
    image.file("/etc/name", 0o644, "guest");
    let archive = image.archive();
    let header = |inode: u32, mode: u32, size: u32, name_size: u32| {
        let numbers = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        let fields: String = numbers.iter().map(|number| format!("{number:08x}")).collect();
        format!("070701{fields}")
    };
    let expected = [
        header(1, 0o040_755, 0, 4) + "etc\0\0\0",
        header(2, 0o100_644, 5, 9) + "etc/name\0\0" + "guest\0\0\0",
        header(0, 0, 0, 11) + "TRAILER!!!\0\0\0\0",
    ];
    let text = String::from_utf8(archive).unwrap();
    assert_eq!(text.replace('\0', "~"), expected.concat().replace('\0', "~"));
}
