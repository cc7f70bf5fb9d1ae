//! What a worker counts of ICMP messages for services and local addresses.

/// What is counted of ICMP by each worker. Packets of other kinds cost nothing here.
///
/// Errors are counted once, by the worker that translates or drops them: [`IcmpCount::ErrorsIn`] is the sum of those translated, those
/// dropped for one of the reasons below, and Source Quench where it is not forwarded. What another worker gets is
/// [`IcmpCount::Redirected`] where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpCount {
    /// Errors for services and local addresses, those among them that the gateway made about what it had translated.
    ErrorsIn,
    /// Errors that were translated, and went to servers.
    ErrorsToServers,
    /// Errors that were translated, and went to clients.
    ErrorsToClients,
    /// Errors dropped that quote a packet of no connection.
    ErrorsNoConnection,
    /// Errors dropped for their checksum.
    ErrorsBadChecksum,
    /// Errors dropped for the checksum of the IPv4 header that they quote, where that is not tolerated.
    ErrorsBadInner,
    /// Errors dropped that end within what they quote, and messages that end within their header.
    ErrorsShort,
    /// Errors of the gateway about translated packets that were not made, since there were too many.
    ErrorsLimited,
    /// Queries that began a connection.
    QueriesNew,
    /// Queries of connections that there were.
    QueriesIn,
    /// Replies of connections.
    QueriesOut,
    /// Replies dropped that nobody had asked for, and messages that are neither error nor query.
    Unsolicited,
    /// Queries for an address of services or a local address that no service of ICMP takes: the gateway answers.
    QueriesLocal,
    /// Queries dropped since no server of their service takes a connection.
    QueriesNoServer,
    /// Queries dropped since no local address had an identifier left.
    IdMisses,
    /// Messages handed to the worker that has their connection, or may have it.
    Redirected,
    /// Translated messages that left by the way that the connection has learned.
    SisoHits,
    /// Translated messages that left as the routes say.
    SisoMisses,
}

impl IcmpCount {
    /// All of them, each at its own number.
    pub const ALL: [IcmpCount; 18] = [
        IcmpCount::ErrorsIn,
        IcmpCount::ErrorsToServers,
        IcmpCount::ErrorsToClients,
        IcmpCount::ErrorsNoConnection,
        IcmpCount::ErrorsBadChecksum,
        IcmpCount::ErrorsBadInner,
        IcmpCount::ErrorsShort,
        IcmpCount::ErrorsLimited,
        IcmpCount::QueriesNew,
        IcmpCount::QueriesIn,
        IcmpCount::QueriesOut,
        IcmpCount::Unsolicited,
        IcmpCount::QueriesLocal,
        IcmpCount::QueriesNoServer,
        IcmpCount::IdMisses,
        IcmpCount::Redirected,
        IcmpCount::SisoHits,
        IcmpCount::SisoMisses,
    ];
}

/// One worker's, in its own memory: whoever wants to show them copies them now and then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IcmpCounts([u64; IcmpCount::ALL.len()]);

impl IcmpCounts {
    #[inline]
    pub(crate) fn add(&mut self, what: IcmpCount) {
        if let Some(cell) = self.0.get_mut(what as usize) {
            *cell += 1;
        }
    }

    /// What counted as `from` is `to`.
    pub(crate) fn move_one(&mut self, from: IcmpCount, to: IcmpCount) {
        if let Some(cell) = self.0.get_mut(from as usize) {
            *cell = cell.saturating_sub(1);
        }
        self.add(to);
    }

    pub(crate) fn of(&self, what: IcmpCount) -> u64 {
        self.0.get(what as usize).copied().unwrap_or(0)
    }
}
