use dpdk::{Pool, Port, PortConfig};

fn configure(port: Port, config: &PortConfig, pool: &Pool) {
    let first = port.configure(config, pool);
    let second = port.configure(config, pool);
    drop((first, second));
}

fn main() {}
