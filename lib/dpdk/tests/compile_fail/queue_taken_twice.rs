use dpdk::StartedPort;

fn take(started: StartedPort) {
    let first = started.rx_queues;
    let second = started.rx_queues;
    drop((first, second));
}

fn cloned(started: &StartedPort) -> dpdk::TxQueue {
    started.tx_queues[0].clone()
}

fn main() {}
