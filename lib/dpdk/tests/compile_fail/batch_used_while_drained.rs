use dpdk::MbufBatch;

fn dispatch(batch: &mut MbufBatch<32>) {
    for mbuf in batch.drain() {
        let again = batch.pop();
        drop((mbuf, again));
    }
}

fn main() {}
