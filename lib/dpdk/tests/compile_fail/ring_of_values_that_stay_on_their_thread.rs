use dpdk::{Eal, ring};

fn pointers(eal: &Eal) {
    let _ = ring::spsc::<*mut u64>(eal, "pointers", 8);
}

fn producer_cloned(producer: &ring::Producer<u64>) -> ring::Producer<u64> {
    producer.clone()
}

fn main() {}
