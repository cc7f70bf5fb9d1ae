//! Bytes by TCP from one host to another.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use nix::sched::{CloneFlags, setns};
use tests::Namespace;
use tests::machine::LIMIT;

const PORT: u16 = 4789;

/// Sends `bytes` from one host to `address`, which is the other's, and returns what came there.
pub(crate) fn transfer(from: &Namespace, to: &Namespace, address: &str, bytes: Vec<u8>) -> Vec<u8> {
    let address = SocketAddr::new(address.parse().unwrap(), PORT);
    let listener = within(to, || TcpListener::bind(address).unwrap());
    let mut sender = within(from, || TcpStream::connect_timeout(&address, LIMIT).unwrap());
    // It is connected: this waits for nobody.
    let (mut receiver, _) = listener.accept().unwrap();
    sender.set_write_timeout(Some(LIMIT)).unwrap();
    receiver.set_read_timeout(Some(LIMIT)).unwrap();
    let sends = thread::spawn(move || {
        sender.write_all(&bytes).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    receiver.read_to_end(&mut received).unwrap();
    sends.join().unwrap();
    received
}

/// Makes a socket in a namespace: by a thread that enters it and ends there.
fn within<T: Send>(namespace: &Namespace, make: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        setns(File::open(namespace.path()).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        make()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}
