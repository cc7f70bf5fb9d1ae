//! What is counted of interfaces, drops and workers, each with its name.
//!
//! The cells are those of [`crate::cells`]; of rules for router alerts [`crate::alert_counters`] knows, of stages [`crate::stages`].

macro_rules! counter_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of their cells.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The one of this number.
            pub fn from_index(index: usize) -> Option<Self> {
                Self::ALL.get(index).copied()
            }

            pub(crate) const LAYOUT: &'static str = concat!(stringify!($name), $(" ", $text,)*);

            /// The stable name in tables and JSON.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(crate) use counter_enum;

counter_enum! {
    /// What is counted of each interface. Received plus originated plus from sub-interfaces plus encapsulated equals transmitted
    /// plus delivered plus to sub-interfaces plus decapsulated plus all drops plus what waits for a neighbour at the moment.
    pub enum InterfaceCounter {
        /// Packets taken from the port; of a tunnel, those that were taken out of others.
        RxPackets => "rx_packets",
        /// Their bytes, from the Ethernet destination on, without FCS; of a tunnel, from the IP header on.
        RxBytes => "rx_bytes",
        /// Packets that the port took for sending; of a tunnel, those that were put into others.
        TxPackets => "tx_packets",
        /// Their bytes, from the Ethernet destination on, without FCS; of a tunnel, from the IP header on.
        TxBytes => "tx_bytes",
        /// Packets sent by this tunnel. Each goes on inside another one, which comes to be with it, and is sent or dropped as any.
        Encapsulated => "encapsulated",
        /// Received packets that were outer ones of a tunnel, which is their end: what was inside counts as received by the tunnel.
        Decapsulated => "decapsulated",
        /// Received packets handed to the control thread or to the kernel, which is their end: ARP, neighbour discovery, and
        /// what goes to the tap. And fragments that were put together: the packet made of them is an originated one.
        Delivered => "delivered",
        /// Packets that the gateway made itself and sent to this interface: ARP, neighbour discovery, ICMP errors,
        /// fragments, those of tools, and those of the kernel behind the tap.
        Originated => "originated",
        /// Echo requests for an address of the gateway that were turned into replies.
        EchoReplies => "echo_replies",
        /// ICMP and ICMPv6 errors made for dropped packets that came in here, and redirects for packets that left here again; among
        /// the originated.
        IcmpErrors => "icmp_errors",
        /// Packets whose senders were to be told, had there not been so many errors: RFC 1812 section 4.3.2.8, RFC 4443 section
        /// 2.4 (f). Those among them that are never answered, such as errors, are not told apart then.
        IcmpErrorsPoliced => "icmp_errors_policed",
        /// Packets waiting for a neighbour's answer, fragments waiting for the others, packets with a tool now: goes up and down.
        /// Counted where they came in.
        Waiting => "waiting",
        /// Received packets that belong to a sub-interface made on this one, where they count as received as well.
        ToSubInterfaces => "to_sub_interfaces",
        /// Packets of a sub-interface made on this one, where they count as sent as well.
        FromSubInterfaces => "from_sub_interfaces",
        /// ARP packets handed to the control thread; among the delivered.
        ArpDelivered => "arp_delivered",
        /// Neighbour solicitations and advertisements handed to the control thread; among the delivered.
        NdDelivered => "nd_delivered",
        /// Received packets handed to the kernel by the interface's tap; among the delivered. Copies of ARP replies and
        /// neighbour advertisements are not counted.
        TapRxPackets => "tap_rx_packets",
        /// Packets of the kernel that came by the interface's tap, to leave by the port; among the originated.
        TapTxPackets => "tap_tx_packets",
        /// Packets that were too long for this interface and were cut into fragments; those of services that had come in fragments count
        /// where they came in.
        Fragmented => "fragmented",
        /// Fragments made of them, here; all but one of each packet are among the originated.
        Fragments => "fragments",
        /// Packets for the gateway itself, or for services, that were put together from fragments; among the originated, as their fragments are
        /// among the delivered.
        Reassembled => "reassembled",
        /// Packets with a router alert that could be read, those not among them that their options or addresses had dropped. Counted while
        /// there is a rule, a tool that decides, or a class that fails closed. Those that are not unmatched are among the matched or
        /// the expired of a rule, as [`AlertCounter`](crate::AlertCounter) has it.
        AlertsSeen => "alerts_seen",
        /// Of these, those that no rule fits, so all while there is none.
        AlertsUnmatched => "alerts_unmatched",
        /// Router alerts that were found at an odd offset, RFC 2711 section 2.1, and taken all the same.
        AlertsMisaligned => "alerts_misaligned",
        /// Packets with several router alerts of which one was taken.
        AlertsDuplicate => "alerts_duplicate",
        /// Packets with a router alert that was taken, and padding that is more than 7 bytes long or not zero.
        AlertsPadding => "alerts_padding",
    }
}

counter_enum! {
    /// Why a packet was dropped. Counted on the interface that it came in by; a packet that the gateway made itself,
    /// on the interface it should have left by.
    pub enum DropReason {
        /// Shorter than an Ethernet header.
        EthernetTruncated => "ethernet_truncated",
        /// Unicast to a MAC address that is not the interface's.
        OtherHost => "other_host",
        /// Source MAC address is a group address.
        EthernetSource => "ethernet_source",
        /// 802.1Q tag with a VLAN that no interface has.
        UnknownVlan => "unknown_vlan",
        /// More VLAN tags than the two that are read.
        VlanDepth => "vlan_depth",
        /// An EtherType that the gateway does not handle.
        UnknownEthertype => "unknown_ethertype",
        /// The interface was set down.
        InterfaceDown => "interface_down",
        /// In several segments, and the port that it should leave by sends packets of one only, longer than our buffers.
        Segmented => "segmented",
        /// Not an ARP packet for IPv4 over Ethernet, or one that contradicts itself.
        ArpMalformed => "arp_malformed",
        /// More ARP than the policer lets through to the control thread.
        ArpPoliced => "arp_policed",
        /// A neighbour solicitation or advertisement that RFC 4861 section 7.1 says to discard.
        NdMalformed => "nd_malformed",
        /// More neighbour discovery than the policer lets through to the control thread.
        NdPoliced => "nd_policed",
        /// The ring to the control thread, or to the tool that decides about such packets, was full.
        PuntRingFull => "punt_ring_full",
        /// More packets than the policer of their class lets through to a tool.
        PuntPoliced => "punt_policed",
        /// A tool decides about such packets, there is none, and their class fails closed.
        PuntClosed => "punt_closed",
        /// A tool decided that it is to be dropped.
        PuntDropped => "punt_dropped",
        /// A tool handed it back for an interface that there is not.
        PuntInterface => "punt_interface",
        /// A tool handed back a frame that is longer than the MTU of its interface.
        PuntOversize => "punt_oversize",
        /// Shorter than its IPv4 header.
        Ip4Truncated => "ip4_truncated",
        /// IPv4 version is not 4.
        Ip4Version => "ip4_version",
        /// IPv4 header length under five words.
        Ip4HeaderLength => "ip4_header_length",
        /// IPv4 total length shorter than its header or longer than the frame.
        Ip4TotalLength => "ip4_total_length",
        /// IPv4 header checksum is wrong.
        Ip4Checksum => "ip4_checksum",
        /// IPv4 options that overrun the header or each other.
        Ip4Options => "ip4_options",
        /// A source route, which the gateway neither follows nor passes on; RFC 7126 sections 4.3.5 and 4.4.5.
        Ip4SourceRoute => "ip4_source_route",
        /// A source that no packet on a wire has: multicast, broadcast, loopback, 0/8; RFC 1812 section 5.3.7.
        Ip4MartianSource => "ip4_martian_source",
        /// A destination that is never forwarded: loopback, 0/8, 240/4; RFC 1812 section 5.3.7.
        Ip4MartianDestination => "ip4_martian_destination",
        /// Multicast or limited broadcast, which the gateway does not forward.
        Ip4Multicast => "ip4_multicast",
        /// A subnet's broadcast address; RFC 2644.
        Ip4DirectedBroadcast => "ip4_directed_broadcast",
        /// Unicast IPv4 in a link-layer broadcast or multicast; RFC 1812 section 5.3.4.
        Ip4LinkBroadcast => "ip4_link_broadcast",
        /// Shorter than its IPv6 header.
        Ip6Truncated => "ip6_truncated",
        /// IPv6 version is not 6.
        Ip6Version => "ip6_version",
        /// IPv6 payload length longer than the frame.
        Ip6PayloadLength => "ip6_payload_length",
        /// A source that no packet on a wire has: multicast, loopback, IPv4-mapped, or none; RFC 4291 section 2.
        Ip6MartianSource => "ip6_martian_source",
        /// A destination that is never forwarded: loopback, IPv4-mapped, or none; RFC 4291 sections 2.5.2 and 2.5.3, RFC 6890 section 2.2.3.
        Ip6MartianDestination => "ip6_martian_destination",
        /// Multicast, which the gateway does not forward, and which nothing here takes.
        Ip6Multicast => "ip6_multicast",
        /// Unicast IPv6 in a link-layer multicast.
        Ip6LinkMulticast => "ip6_link_multicast",
        /// A link-local destination that is not the gateway's: such packets stay on their link, RFC 4291 section 2.5.6.
        Ip6LinkLocal => "ip6_link_local",
        /// A link-local source on its way off its link, RFC 4291 section 2.5.6.
        Ip6Scope => "ip6_scope",
        /// Extension headers of a packet for the gateway itself that overrun, are too many, or in a place where they may not be.
        Ip6ExtensionHeader => "ip6_extension_header",
        /// An option of a packet for the gateway itself that is not known here and says to discard, RFC 8200 section 4.2.
        Ip6Option => "ip6_option",
        /// A routing header of a packet for the gateway itself that asks to be followed, RFC 8200 section 4.4.
        Ip6RoutingHeader => "ip6_routing_header",
        /// The TTL or hop limit ran out here.
        TtlExpired => "ttl_expired",
        /// No route to the destination.
        NoRoute => "no_route",
        /// The route says blackhole.
        Blackhole => "blackhole",
        /// Too long for the interface it should leave by.
        TooBig => "too_big",
        /// Came longer than the MTU of its interface: an offload of the kernel device is on.
        Oversize => "oversize",
        /// Came with an unfinished TCP or UDP checksum: an offload of the kernel device is on.
        PartialChecksum => "partial_checksum",
        /// The next hop did not answer ARP or neighbour solicitations.
        NeighborFailed => "neighbor_failed",
        /// More packets wait for this next hop than are kept.
        NeighborQueueFull => "neighbor_queue_full",
        /// For an address of the gateway, and nothing there takes it.
        LocalUnhandled => "local_unhandled",
        /// A packet for an address of the gateway that is a fragment still after its fragments were put together.
        LocalFragment => "local_fragment",
        /// ICMP for an address of the gateway that is malformed or has a wrong checksum.
        IcmpMalformed => "icmp_malformed",
        /// The port did not take it: its transmit ring stayed full.
        TxFull => "tx_full",
        /// No packet buffer was free.
        NoBuffer => "no_buffer",
        /// The gateway was stopping.
        Stopping => "stopping",
        /// The route says unreachable.
        Unreachable => "unreachable",
        /// The route says prohibit.
        Prohibited => "prohibited",
        /// UDP for an address of the gateway whose length or checksum is wrong; RFC 1122 section 4.1.3.4.
        UdpMalformed => "udp_malformed",
        /// More packets for the kernel than the policer lets through to the tap.
        KernelPoliced => "kernel_policed",
        /// The ring to the tap was full: the kernel is behind.
        KernelRingFull => "kernel_ring_full",
        /// The kernel did not take it from the tap, as when the tap is down.
        KernelRefused => "kernel_refused",
        /// A fragment for the gateway itself that leaves a gap behind it, or reaches beyond the longest packet.
        FragmentMalformed => "fragment_malformed",
        /// A fragment for the gateway itself that was there already.
        FragmentCopy => "fragment_copy",
        /// Fragments for the gateway itself that overlap, or contradict each other: all of that packet; RFC 5722.
        ReassemblyOverlap => "reassembly_overlap",
        /// Fragments for the gateway itself that had to make room for those of a later packet.
        ReassemblyFull => "reassembly_full",
        /// Fragments for the gateway itself whose others did not come in time.
        ReassemblyTimeout => "reassembly_timeout",
        /// The ring to the worker that has the packet's flow was full.
        SpreadRingFull => "spread_ring_full",
        /// The first fragment of an IPv6 packet for the gateway itself that ends before its upper-layer header; RFC 8200 section 4.5.
        Ip6FirstFragment => "ip6_first_fragment",
        /// A tool decided that it is prohibited; its sender is told.
        PuntRefused => "punt_refused",
        /// A hop-by-hop header that is longer than its packet.
        HopByHopLength => "hop_by_hop_length",
        /// A hop-by-hop option that goes beyond its header.
        HopByHopOptionLength => "hop_by_hop_option_length",
        /// A hop-by-hop option that is not known here and says to discard, on its way through; RFC 8200 section 4.2.
        HopByHopOption => "hop_by_hop_option",
        /// Hop-by-hop padding of more than 7 bytes, or not of zeros, where padding is strict.
        HopByHopPadding => "hop_by_hop_padding",
        /// A hop-by-hop header that is longer than is looked at, where such are dropped; RFC 8883 section 2.2.
        HopByHopTooBig => "hop_by_hop_too_big",
        /// A hop-by-hop header with more options than are looked at, where such are dropped; RFC 8883 section 2.5.
        HopByHopTooMany => "hop_by_hop_too_many",
        /// A jumbo payload, which no link here carries; RFC 2675 section 3.
        JumboPayload => "jumbo_payload",
        /// A router alert of IPv6 with another length than two; RFC 2711 section 2.1.
        RouterAlertLength => "router_alert_length",
        /// Router alerts with different values, where such are dropped; RFC 2711 section 2.1.
        RouterAlertDuplicate => "router_alert_duplicate",
        /// An outer packet for an address of the gateway whose source, protocol and key are those of no tunnel.
        TunnelUnknown => "tunnel_unknown",
        /// An outer packet with a GRE header, a checksum or an inner packet that is none, or with something else than IP inside.
        TunnelMalformed => "tunnel_malformed",
        /// An outer packet that met congestion, with a packet inside that cannot say so; RFC 6040 section 4.2.
        TunnelEcn => "tunnel_ecn",
        /// Inside of more tunnels than two at once, here.
        TunnelLoop => "tunnel_loop",
        /// For a tunnel that is down, or of one.
        TunnelDown => "tunnel_down",
        /// An ICMP error about a packet that a tunnel sent. One that says that it was too big has made the tunnel's MTU smaller.
        TunnelError => "tunnel_error",
        /// An ESP packet for an address of the gateway whose SPI is that of no SA.
        EspSpi => "esp_spi",
        /// An ESP packet that was there before; RFC 4303 section 3.4.3.
        EspReplayed => "esp_replayed",
        /// An ESP packet that is older than the window of its SA.
        EspOld => "esp_old",
        /// An ESP packet that is not authentic.
        EspIcv => "esp_icv",
        /// An ESP packet that is too short for its SA, has what cannot be in its trailer, or holds no IP packet.
        EspMalformed => "esp_malformed",
        /// A packet that no selector of its SA allows, in or out; RFC 4301 section 5.2.
        EspSelector => "esp_selector",
        /// An ESP packet whose outer header came from elsewhere than its SA says.
        EspSource => "esp_source",
        /// To be sent by an SA that has no sequence number left; RFC 4303 section 3.3.3.
        EspSequence => "esp_sequence",
        /// By an SA whose lifetime in packets or bytes is over.
        EspLifetime => "esp_lifetime",
        /// For a tunnel that has no SA to send by.
        EspNoSa => "esp_no_sa",
        /// Came in clear, and a tunnel protects what comes from there; RFC 4301 section 5.2.
        EspClear => "esp_clear",
        /// Longer than a packet buffer with what ESP puts around it.
        EspRoom => "esp_room",
        /// An ESP packet with nothing inside, sent so that nobody sees when there is something to say; RFC 4303 section 2.6.
        EspDummy => "esp_dummy",
        /// A keepalive of UDP encapsulation; RFC 3948 section 2.3.
        EspKeepalive => "esp_keepalive",
        /// The crypto device did not take it.
        CryptoBusy => "crypto_busy",
        /// For a service none of whose servers takes a new connection.
        ServiceNoServer => "service_no_server",
        /// For a service whose local addresses have no port, or ICMP identifier, left for a new connection to this server.
        ServiceNoPort => "service_no_port",
        /// For a service, and the worker keeps as many connections as it may.
        ServiceTableFull => "service_table_full",
        /// For a service or a local address, of no connection, and nothing that begins one.
        ServiceNoConnection => "service_no_connection",
        /// An ICMP error for a service or a local address about a packet of no connection; RFC 5508 section 4.2.
        ServiceErrorNoConnection => "service_error_no_connection",
        /// For a service or a local address, with an ICMP checksum that is wrong, or about a packet whose IPv4 header checksum is.
        ServiceChecksum => "service_checksum",
        /// For a service or a local address, and shorter than its headers.
        ServiceMalformed => "service_malformed",
        /// For a service that does not take packets from its source.
        ServiceDenied => "service_denied",
        /// An ICMP reply for a service or a local address that answers no query; RFC 5508 section 3.2.
        ServiceUnsolicited => "service_unsolicited",
        /// For a service whose servers have as many connections as they may.
        ServiceServerFull => "service_server_full",
        /// A fragment for a service or a local address, where such are dropped.
        ServiceFragment => "service_fragment",
        /// An ICMP source quench for a service or a local address, where such are dropped; RFC 6633.
        ServiceSourceQuench => "service_source_quench",
    }
}

counter_enum! {
    /// What is counted of each worker.
    pub enum WorkerCounter {
        /// Rounds of its loop.
        Loops => "loops",
        /// Rounds in which packets came.
        BusyLoops => "busy_loops",
        /// Packets received.
        Packets => "packets",
        /// Time stamp counter ticks spent in rounds in which packets came.
        BusyTicks => "busy_ticks",
        /// Time stamp counter ticks since it started.
        Ticks => "ticks",
        /// Times it slept.
        Sleeps => "sleeps",
        /// Ticks of its longest round that moved packets, sleep not counted.
        LongestTicks => "longest_ticks",
        /// Attachments that it ended because of what their tools handed back.
        BadVerdicts => "bad_verdicts",
        /// Packets that it received and handed to the workers of their flows; not among its own.
        HandedOver => "handed_over",
    }
}

counter_enum! {
    /// What is counted of ICMP by each worker, for services of the load balancer and their local addresses. Errors are counted by the
    /// worker that translates or drops them. `err_in` is the sum of `err_translated_in`, `err_translated_out`, `err_no_conn`,
    /// `err_bad_csum`, `err_bad_inner`, `err_short`, and of Source Quench where it is not forwarded.
    pub enum IcmpCounter {
        /// Errors, those among them that the gateway made about what it had translated.
        ErrIn => "err_in",
        /// Errors that were translated, and went to servers.
        ErrTranslatedIn => "err_translated_in",
        /// Errors that were translated, and went to clients.
        ErrTranslatedOut => "err_translated_out",
        /// Errors dropped that quote a packet of no connection.
        ErrNoConn => "err_no_conn",
        /// Errors dropped for their checksum.
        ErrBadCsum => "err_bad_csum",
        /// Errors dropped for the checksum of the IPv4 header that they quote, where that is not tolerated.
        ErrBadInner => "err_bad_inner",
        /// Errors dropped that end within what they quote, and messages that end within their header.
        ErrShort => "err_short",
        /// Errors of the gateway about what it had translated that were not made, since there were too many. Those that would not have
        /// been made anyway are not told apart then.
        ErrRateLimited => "err_rate_limited",
        /// Queries that began a connection.
        QueryNew => "query_new",
        /// Queries of connections that there were.
        QueryHitIn => "query_hit_in",
        /// Replies of connections.
        QueryHitOut => "query_hit_out",
        /// Replies dropped that nobody had asked for, and messages that are neither error nor query.
        QueryUnsolicited => "query_unsolicited",
        /// Queries that no service of ICMP takes: the gateway answers.
        QueryNoSvcLocal => "query_no_svc_local",
        /// Queries dropped since no server of their service takes a connection.
        QueryNoDest => "query_no_dest",
        /// Queries dropped since no local address had an identifier left.
        IdMiss => "id_miss",
        /// Messages handed to another worker: the one that has their connection, or may have it.
        Redirected => "redirected",
        /// Translated messages that left by the way that their connection has learned (source in, source out).
        SisoHit => "siso_hit",
        /// Translated messages that left as the routes say.
        SisoMiss => "siso_miss",
    }
}

/// Cells of one (writer, interface): counters, then drop reasons, rounded up to whole cache lines.
pub(crate) const INTERFACE_CELLS: usize = (InterfaceCounter::COUNT + DropReason::COUNT).next_multiple_of(8);
/// Cells of one worker, rounded up to whole cache lines: its own, then those of ICMP.
pub(crate) const WORKER_CELLS: usize = (WorkerCounter::COUNT + IcmpCounter::COUNT).next_multiple_of(8);
