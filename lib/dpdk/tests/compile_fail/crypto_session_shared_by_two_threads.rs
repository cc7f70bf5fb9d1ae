use dpdk::crypto::{Direction, Session};

fn on_another_thread<F: Fn() -> Direction + Send>(_beside: F) {}

fn look_beside(session: &Session) {
    on_another_thread(|| session.direction());
}

fn main() {}
