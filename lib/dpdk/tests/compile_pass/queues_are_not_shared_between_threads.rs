use dpdk::{Mbuf, RxQueue, TxQueue};

/// There is one way to read `unique` for a type that is not `Sync`, and two for one that is, which does not compile. No message of the
/// compiler is compared here: it would name files of its own library, each release others.
trait NotSync<A> {
    fn unique() {}
}

struct Shared;

impl<T: ?Sized> NotSync<()> for T {}
impl<T: ?Sized + Sync> NotSync<Shared> for T {}

fn main() {
    <Mbuf as NotSync<_>>::unique();
    <RxQueue as NotSync<_>>::unique();
    <TxQueue as NotSync<_>>::unique();
}
