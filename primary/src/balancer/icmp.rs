//! What the load balancer counts of ICMP, among the counters of workers.

use lb::IcmpCount;
use shm::IcmpCounter;

/// The counter of a worker that shows it.
pub fn icmp_counter(what: IcmpCount) -> IcmpCounter {
    match what {
        IcmpCount::ErrorsIn => IcmpCounter::ErrIn,
        IcmpCount::ErrorsToServers => IcmpCounter::ErrTranslatedIn,
        IcmpCount::ErrorsToClients => IcmpCounter::ErrTranslatedOut,
        IcmpCount::ErrorsNoConnection => IcmpCounter::ErrNoConn,
        IcmpCount::ErrorsBadChecksum => IcmpCounter::ErrBadCsum,
        IcmpCount::ErrorsBadInner => IcmpCounter::ErrBadInner,
        IcmpCount::ErrorsShort => IcmpCounter::ErrShort,
        IcmpCount::ErrorsLimited => IcmpCounter::ErrRateLimited,
        IcmpCount::QueriesNew => IcmpCounter::QueryNew,
        IcmpCount::QueriesIn => IcmpCounter::QueryHitIn,
        IcmpCount::QueriesOut => IcmpCounter::QueryHitOut,
        IcmpCount::Unsolicited => IcmpCounter::QueryUnsolicited,
        IcmpCount::QueriesLocal => IcmpCounter::QueryNoSvcLocal,
        IcmpCount::QueriesNoServer => IcmpCounter::QueryNoDest,
        IcmpCount::IdMisses => IcmpCounter::IdMiss,
        IcmpCount::Redirected => IcmpCounter::Redirected,
        IcmpCount::SisoHits => IcmpCounter::SisoHit,
        IcmpCount::SisoMisses => IcmpCounter::SisoMiss,
    }
}
