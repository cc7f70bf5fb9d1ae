use dpdk::Eal;

fn second(eal: &Eal) -> Eal {
    eal.clone()
}

fn main() {}
