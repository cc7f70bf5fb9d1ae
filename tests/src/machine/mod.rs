//! Virtual machines that qemu computes, all of it (TCG): there is no KVM on many a test machine.
//!
//! The guest is an ordinary Debian kernel and an image with busybox and what a test puts there; it does what the test tells it by a serial
//! port. Here whatever is not as expected ends the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod debian;
mod image;
mod monitor;
mod shell;

use std::{cell::RefCell, fs, os::unix::net::UnixStream, path::Path, thread, time::Duration};

use tempfile::TempDir;

use crate::{Namespace, Process, RunId, wait_until};

pub use self::{
    debian::Debian,
    image::{Image, libraries},
    shell::Answer,
};
use self::{monitor::Monitor, shell::Shell};

/// What answers within milliseconds elsewhere is computed here, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// A kernel that is computed, on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// What a machine has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// CPUs.
    pub cpus: u8,
    /// Memory for all, the image included, MB.
    pub memory_mb: u32,
}

/// A network card as qemu emulates it.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// Name of the model, with properties behind commas.
    pub model: &'static str,
    /// What the driver of it is called by who tests it.
    pub driver: &'static str,
}

impl Card {
    /// The PCI address of a machine's first, second ... card, from 0.
    pub fn address_of(number: usize) -> String {
        format!("0000:00:{:02x}.0", number + 4)
    }

    /// The MAC address of that card.
    pub fn mac_of(number: usize) -> String {
        format!("02:00:00:00:00:{:02x}", number + 4)
    }

    /// The tap of the host's that is at the other end of that card.
    pub fn tap_of(number: usize) -> String {
        format!("tap{number}")
    }
}

/// A running machine; the taps of its cards go with it.
pub struct Machine {
    shell: RefCell<Shell>,
    monitor: RefCell<Monitor>,
    qemu: Process,
    folder: TempDir,
    last_words: Option<String>,
}

impl Machine {
    /// The first process of a guest, a script that needs /usr/bin/busybox. It inserts /modules/* in their order and hands devices over as
    /// /etc/devices has it.
    pub const INIT: &str = include_str!("init.sh");

    /// Boots a machine whose taps are made in `namespace`, and returns when it takes commands.
    pub fn start(namespace: &Namespace, size: Size, debian: &Debian, image: &Image, cards: &[Card]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&RunId::current().prefix())
            .tempdir()
            .unwrap();
        fs::write(folder.path().join("image"), image.archive()).unwrap();
        // It ends with this thread, however that ends.
        let mut qemu = namespace
            .process("starts a virtual machine", "setpriv")
            .args(["--pdeathsig", "TERM", "qemu-system-x86_64"])
            .args(qemu_words(folder.path(), &debian.kernel, size, cards))
            .start()
            .unwrap();
        let mut connect = |name: &str| {
            let socket = folder.path().join(name);
            wait_until("a socket of qemu", LIMIT, || {
                assert_eq!(qemu.ended(), None, "{}", qemu.stderr());
                Ok(UnixStream::connect(&socket).ok())
            })
            .unwrap()
        };
        let (shell, monitor) = (Shell::new(connect("shell")), Monitor::new(connect("monitor")));
        let machine = Self {
            shell: RefCell::new(shell),
            monitor: RefCell::new(monitor),
            qemu,
            folder,
            last_words: None,
        };
        machine.shell.borrow_mut().ready(BOOT_LIMIT).unwrap();
        machine
    }

    /// Runs a command in the guest.
    #[track_caller]
    pub fn run(&self, command: &str) -> Answer {
        let ran = self.shell.borrow_mut().run(command, BOOT_LIMIT);
        ran.unwrap_or_else(|error| panic!("`{command}` in the guest: {error}"))
    }

    /// Runs a command in the guest, which must succeed, and returns what it wrote on stdout.
    #[track_caller]
    pub fn succeed(&self, command: &str) -> String {
        let Answer {
            status,
            stdout,
            stderr,
        } = self.run(command);
        assert_eq!(status, 0, "`{command}` in the guest:\n{stdout}{stderr}");
        stdout
    }

    /// Takes the link of a card, from 0, up or down.
    pub fn set_link(&self, card: usize, up: bool) {
        self.monitor.borrow_mut().set_link(&format!("card{card}"), up);
    }

    /// Has what this command in the guest says shown, should the test fail.
    pub fn show_at_failure(&mut self, command: &str) {
        self.last_words = Some(command.to_owned());
    }

    /// Switches the guest off, which ends qemu.
    pub fn power_off(mut self) {
        // No answer comes to this.
        let _ = self.shell.borrow_mut().run("poweroff -f", LIMIT);
        let status = self.qemu.wait(LIMIT).unwrap();
        assert!(status.success(), "{status}: {}", self.qemu.stderr());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            let console = fs::read(self.folder.path().join("console")).map_or_else(
                |error| error.to_string(),
                |text| String::from_utf8_lossy(&text).into_owned(),
            );
            eprintln!("console of the guest:\n{console}");
            if let Some(command) = self.last_words.take() {
                let said = self.shell.borrow_mut().run(&command, Duration::from_secs(5));
                let said =
                    said.map_or_else(|error| error.to_string(), |answer| answer.stdout + &answer.stderr);
                eprintln!("`{command}` in the guest:\n{said}");
            }
        }
    }
}

fn qemu_words(folder: &Path, kernel: &Path, size: Size, cards: &[Card]) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut words: Vec<String> = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "pc",
        "-accel",
        "tcg",
        "-cpu",
        "max",
    ]
    .map(str::to_owned)
    .into();
    let more = [
        ("-smp", size.cpus.to_string()),
        ("-m", size.memory_mb.to_string()),
        ("-kernel", kernel.display().to_string()),
        ("-initrd", file("image")),
        ("-append", "console=ttyS0 panic=-1 loglevel=4".to_owned()),
        ("-serial", format!("file:{}", file("console"))),
        ("-serial", format!("unix:{},server=on,wait=off", file("shell"))),
        ("-qmp", format!("unix:{},server=on,wait=off", file("monitor"))),
    ];
    words.extend(
        more.into_iter()
            .flat_map(|(option, value)| [option.to_owned(), value]),
    );
    for (card, Card { model, .. }) in cards.iter().enumerate() {
        let (slot, mac, tap) = (card + 4, Card::mac_of(card), Card::tap_of(card));
        let tap = format!("tap,id=net{card},ifname={tap},script=no,downscript=no");
        let device = format!("{model},netdev=net{card},id=card{card},addr={slot},romfile=,mac={mac}");
        words.extend(["-netdev".to_owned(), tap, "-device".to_owned(), device]);
    }
    words
}
