use dpdk::Mbuf;
use dpdk::crypto::{Job, Queue, Session};

fn look_after(queue: &mut Queue, session: &Session, packet: Mbuf) -> usize {
    let _ = queue.enqueue(packet, session, &Job::default(), 0);
    packet.len()
}

fn main() {}
