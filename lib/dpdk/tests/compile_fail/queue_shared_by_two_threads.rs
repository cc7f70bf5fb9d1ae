use dpdk::{MbufBatch, RxQueue};

fn poll(queue: &RxQueue) {
    std::thread::scope(|scope| {
        scope.spawn(|| queue.index());
        scope.spawn(|| queue.index());
    });
}

fn poll_both(queue: &mut RxQueue) {
    let (mut a, mut b) = (MbufBatch::<32>::new(), MbufBatch::<32>::new());
    std::thread::scope(|scope| {
        scope.spawn(|| queue.receive(&mut a));
        scope.spawn(|| queue.receive(&mut b));
    });
}

fn main() {}
