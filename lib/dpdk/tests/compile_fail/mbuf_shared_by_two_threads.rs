use dpdk::Mbuf;

fn read_beside(mbuf: &Mbuf) {
    std::thread::scope(|scope| {
        scope.spawn(|| mbuf.len());
    });
}

fn main() {}
