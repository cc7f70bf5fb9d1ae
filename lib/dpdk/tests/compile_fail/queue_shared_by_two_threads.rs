use dpdk::{MbufBatch, RxQueue};

fn on_two_threads<F: FnMut() -> usize + Send, G: FnMut() -> usize + Send>(_one: F, _other: G) {}

fn poll_both(queue: &mut RxQueue) {
    let (mut a, mut b) = (MbufBatch::<32>::new(), MbufBatch::<32>::new());
    on_two_threads(|| queue.receive(&mut a), || queue.receive(&mut b));
}

fn main() {}
