//! The load balancer between the control thread and the workers: what services there are goes over as a whole, connections come back in
//! parts.

mod icmp;
mod news;
mod refused;

pub use self::icmp::icmp_counter;
pub use self::news::{BalancerControl, BalancerNews, PART, Part, news};
pub use self::refused::drop_reason;
