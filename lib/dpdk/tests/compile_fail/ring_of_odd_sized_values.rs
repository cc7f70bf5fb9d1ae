use dpdk::{Eal, ring};

fn main() {
    let eal = Eal::init::<&str>(&[]).unwrap();
    let _ = ring::spsc::<[u8; 3]>(&eal, "odd", 8);
}
