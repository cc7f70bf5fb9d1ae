use dpdk::{Eal, LcoreId};

fn borrow(eal: &Eal) {
    let counter = 0;
    let _ = eal.launch(LcoreId::new(1), || counter + 1);
}

fn main() {}
