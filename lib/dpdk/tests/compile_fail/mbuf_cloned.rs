use dpdk::Mbuf;

fn copy(mbuf: &Mbuf) -> Mbuf {
    mbuf.clone()
}

fn taken_from_behind_a_reference(batch: &dpdk::MbufBatch<32>) -> Mbuf {
    batch[0]
}

fn main() {}
