use dpdk::{HugeSlice, Mbuf, MbufBatch, Pool, RunningPort, RxQueue, TxQueue, ring};

fn send<T: Send>() {}
fn share<T: Sync>() {}

fn main() {
    send::<Mbuf>();
    send::<MbufBatch<32>>();
    send::<RxQueue>();
    send::<TxQueue>();
    send::<ring::Producer<u64>>();
    send::<ring::Consumer<u64>>();
    send::<ring::MbufProducer>();
    send::<ring::MbufConsumer>();
    share::<Pool>();
    share::<RunningPort>();
    share::<HugeSlice<std::sync::atomic::AtomicU32>>();
}
