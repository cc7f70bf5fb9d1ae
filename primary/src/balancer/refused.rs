//! What the load balancer refuses, among the reasons for which packets are dropped.

use lb::Refused;
use shm::DropReason;

/// By which reason a packet counts as dropped that the load balancer refused.
pub fn drop_reason(refused: Refused) -> DropReason {
    match refused {
        Refused::NoServer => DropReason::ServiceNoServer,
        Refused::ServerFull => DropReason::ServiceServerFull,
        Refused::NoPort => DropReason::ServiceNoPort,
        Refused::TableFull => DropReason::ServiceTableFull,
        Refused::NoConnection => DropReason::ServiceNoConnection,
        Refused::ErrorNoConnection => DropReason::ServiceErrorNoConnection,
        Refused::BadChecksum | Refused::BadInner => DropReason::ServiceChecksum,
        Refused::Short | Refused::IcmpShort => DropReason::ServiceMalformed,
        Refused::Denied => DropReason::ServiceDenied,
        Refused::Unsolicited => DropReason::ServiceUnsolicited,
        Refused::Fragment => DropReason::ServiceFragment,
        Refused::SourceQuench => DropReason::ServiceSourceQuench,
    }
}
