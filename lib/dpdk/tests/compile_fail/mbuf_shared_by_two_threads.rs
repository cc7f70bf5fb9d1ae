use dpdk::Mbuf;

fn on_another_thread<F: Fn() -> usize + Send>(_beside: F) {}

fn read_beside(mbuf: &Mbuf) {
    on_another_thread(|| mbuf.len());
}

fn main() {}
