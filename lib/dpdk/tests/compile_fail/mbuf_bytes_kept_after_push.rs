use dpdk::{Mbuf, MbufBatch};

fn peek(mbuf: Mbuf, batch: &mut MbufBatch<32>) -> u8 {
    let bytes = mbuf.data();
    let _ = batch.push(mbuf);
    bytes[0]
}

fn main() {}
