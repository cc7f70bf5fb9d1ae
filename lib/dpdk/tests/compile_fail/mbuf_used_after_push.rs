use dpdk::{Mbuf, MbufBatch};

fn queue(mut mbuf: Mbuf, batch: &mut MbufBatch<32>) {
    let _ = batch.push(mbuf);
    mbuf.data_mut()[0] = 0;
}

fn main() {}
