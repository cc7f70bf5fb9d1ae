use dpdk::{HugeSlice, Mbuf, MbufBatch, Pool, RunningPort, RxQueue, TxQueue, crypto, ring};

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
    send::<crypto::Session>();
    send::<crypto::Queue>();
    share::<Pool>();
    share::<crypto::Device>();
    share::<crypto::SessionPool>();
    share::<RunningPort>();
    share::<HugeSlice<std::sync::atomic::AtomicU32>>();
}
