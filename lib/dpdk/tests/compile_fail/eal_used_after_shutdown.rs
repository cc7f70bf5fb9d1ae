use dpdk::{Eal, Port};

fn late(eal: Eal) {
    let _ = eal.shutdown();
    let _ = Port::probe(&eal, "net_null0");
}

fn main() {}
