use dpdk::Eal;

fn main() {
    let _ = Eal { _started: () };
}
