"""Tagged frames through the sub-interfaces of tagged.rs, each with what has to come out, as scapy builds it: tagged.py

Prints one line of JSON per stimulus: its key, the frames that are expected and those that were seen, with their links.

    p0.100    802.1Q 100                 192.168.100.0/24 2001:db8:100::/64
    p0.200.7  802.1ad 200, 802.1Q 7      192.168.107.0/24 2001:db8:107::/64, MTU 1400
    p1.100    802.1Q 100                 192.168.110.0/24 2001:db8:110::/64
    p1.300.9  802.1ad 300, 802.1Q 9      192.168.139.0/24 2001:db8:139::/64, MTU 1400

The gateway is .1 and ::1 of each, and who sends .2 and ::2; the ports themselves are as in world.py.
"""

import json
from dataclasses import dataclass

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from exchange import exchanged
from world import BLACKHOLE4, BLACKHOLE6, HOST_MAC, NOWHERE4, NOWHERE6, ROUTER_MAC

EVERYBODY = "ff:ff:ff:ff:ff:ff"
UDP_PACKET = UDP(sport=4000, dport=9) / b"stimulus"
# Most bytes of a packet that an error quotes.
QUOTE4 = 576 - 28
QUOTE6 = 1280 - 48
STIMULI = []


@dataclass(frozen=True)
class Side:
    """An interface of the gateway, and the host on it."""

    name: str
    link: int
    # EtherType and VLAN, outermost first.
    tags: tuple
    net: int
    mac: str

    def address(self, version, host):
        return f"192.168.{self.net}.{host}" if version == 4 else f"2001:db8:{self.net}::{host}"

    @property
    def router_mac(self):
        return ROUTER_MAC[self.link]


ONE = Side("p0.100", 0, ((0x8100, 100),), 100, "02:00:00:00:04:64")
TWO = Side("p0.200.7", 0, ((0x88A8, 200), (0x8100, 7)), 107, "02:00:00:00:04:6b")
FAR_ONE = Side("p1.100", 1, ((0x8100, 100),), 110, "02:00:00:00:04:6e")
FAR_TWO = Side("p1.300.9", 1, ((0x88A8, 300), (0x8100, 9)), 139, "02:00:00:00:04:8b")
PORT = Side("p0", 0, (), 1, HOST_MAC[0])
FAR_PORT = Side("p1", 1, (), 2, HOST_MAC[1])
SIDES = (ONE, TWO, FAR_ONE, FAR_TWO, PORT, FAR_PORT)
TAGGED = (ONE, TWO, FAR_ONE, FAR_TWO)
ETHERTYPE = {4: 0x0800, 6: 0x86DD}


def tagged(link, tags, ethertype, payload):
    """A frame with these tags: EtherType, VLAN and, if not 0, priority and drop eligibility."""
    types = [tag[0] for tag in tags[1:]] + [ethertype]
    frame = Ether(type=tags[0][0] if tags else ethertype, **link)
    for (kind, vlan, *rest), inner in zip(tags, types):
        layer = Dot1Q if kind == 0x8100 else Dot1AD
        prio, drop = rest or (0, 0)
        frame = frame / layer(vlan=vlan, prio=prio, id=drop, type=inner)
    return frame / Raw(raw(payload))


def arriving(side, ethertype, payload, tags=None, **link):
    """What the host sends to the gateway."""
    return tagged({"src": side.mac, "dst": side.router_mac, **link}, side.tags if tags is None else tags, ethertype, payload)


def leaving(side, ethertype, payload, tags=None):
    """What the gateway sends to the host."""
    return side.link, tagged({"src": side.router_mac, "dst": side.mac}, side.tags if tags is None else tags, ethertype, payload)


def stimulus(key, side, frame, *expected):
    STIMULI.append((key, side.link, raw(frame), [(link, raw(answer)) for link, answer in expected]))


def packet(version, source, destination, **fields):
    """A header from host to host."""
    src, dst = source.address(version, 2), destination if isinstance(destination, str) else destination.address(version, 2)
    if version == 4:
        return IP(src=src, dst=dst, **{"id": 0x1234, "ttl": 9, **fields})
    return IPv6(src=src, dst=dst, **{"hlim": 9, **fields})


def hop(version, packet):
    """`packet` one hop on."""
    later = packet.copy()
    if version == 4:
        later.ttl -= 1
    else:
        later.hlim -= 1
    return later


def error(version, side, problem, about):
    """The error about a packet that came from the host of `side`."""
    octets = raw(about)
    if version == 4:
        header = IP(src=side.address(4, 1), dst=side.address(4, 2), id=0, flags=2, ttl=64, tos=0xC0)
        return leaving(side, 0x0800, header / problem / Raw(octets[:QUOTE4]))
    header = IPv6(src=side.address(6, 1), dst=side.address(6, 2), hlim=64)
    return leaving(side, 0x86DD, header / problem / Raw(octets[:QUOTE6]))


def expired(version):
    return ICMP(type=11, code=0) if version == 4 else ICMPv6TimeExceeded(code=0)


def no_route(version):
    return ICMP(type=3, code=0) if version == 4 else ICMPv6DestUnreach(code=0)


def no_port(version):
    return ICMP(type=3, code=3) if version == 4 else ICMPv6DestUnreach(code=4)


def echo(version, side, data=b"stimulus"):
    """An echo request from a host to its gateway, and the reply."""
    if version == 4:
        request = packet(4, side, side.address(4, 1), ttl=1) / ICMP(type=8, id=7, seq=1) / data
        reply = IP(src=side.address(4, 1), dst=side.address(4, 2), id=0x1234, ttl=64) / ICMP(type=0, id=7, seq=1) / data
    else:
        request = packet(6, side, side.address(6, 1), hlim=1) / ICMPv6EchoRequest(id=7, seq=1, data=data)
        reply = IPv6(src=side.address(6, 1), dst=side.address(6, 2), hlim=64) / ICMPv6EchoReply(id=7, seq=1, data=data)
    return request, reply


def families():
    for version in (4, 6):
        yield version, f"ip{version}", ETHERTYPE[version]


def through():
    """From each interface to each, and back out of the same one."""
    for version, family, ethertype in families():
        for source in SIDES:
            for destination in SIDES:
                for name, payload in (("udp", UDP_PACKET), ("tcp", TCP(sport=4000, dport=81, flags="S")), ("empty", UDP(sport=1, dport=2))):
                    sent = packet(version, source, destination) / payload
                    expected = leaving(destination, ethertype, hop(version, sent))
                    stimulus(f"{family}/{source.name}/to/{destination.name}/{name}", source, arriving(source, ethertype, sent), expected)


def hops_and_ends():
    """Hop limits; the gateway itself; no way to go on."""
    for version, family, ethertype in families():
        limit = "ttl" if version == 4 else "hlim"
        for side in TAGGED:
            destination = FAR_ONE if side.link == 0 else ONE
            for hops in (0, 1, 2, 255):
                sent = packet(version, side, destination, **{limit: hops}) / UDP_PACKET
                expected = leaving(destination, ethertype, hop(version, sent)) if hops > 1 else error(version, side, expired(version), sent)
                stimulus(f"{family}/{side.name}/hops/{hops}", side, arriving(side, ethertype, sent), expected)
            for size in (0, 1, 8, 56, 1300):
                request, reply = echo(version, side, bytes(size))
                stimulus(f"{family}/{side.name}/echo/{size}", side, arriving(side, ethertype, request), leaving(side, ethertype, reply))
            sent = packet(version, side, side.address(version, 1)) / UDP_PACKET
            stimulus(f"{family}/{side.name}/port", side, arriving(side, ethertype, sent), error(version, side, no_port(version), sent))
            sent = packet(version, side, side.address(version, 1)) / TCP(sport=4000, dport=81)
            stimulus(f"{family}/{side.name}/tcp-to-the-gateway", side, arriving(side, ethertype, sent))
            for size in (8, 500, 1300):
                sent = packet(version, side, NOWHERE4 if version == 4 else NOWHERE6) / UDP(dport=9) / bytes(size)
                stimulus(f"{family}/{side.name}/no-route/{size}", side, arriving(side, ethertype, sent), error(version, side, no_route(version), sent))
            sent = packet(version, side, BLACKHOLE4 if version == 4 else BLACKHOLE6) / UDP_PACKET
            stimulus(f"{family}/{side.name}/blackhole", side, arriving(side, ethertype, sent))


def priorities():
    """A priority is the frame's: it comes in with any, and goes on with none."""
    for version, family, ethertype in families():
        sent = packet(version, ONE, FAR_TWO) / UDP_PACKET
        for prio in range(8):
            for drop in (0, 1):
                frame = arriving(ONE, ethertype, sent, ((0x8100, 100, prio, drop),))
                stimulus(f"{family}/priority/{prio}-{drop}", ONE, frame, leaving(FAR_TWO, ethertype, hop(version, sent)))
        request, reply = echo(version, ONE)
        frame = arriving(ONE, ethertype, request, ((0x8100, 100, 5, 0),))
        stimulus(f"{family}/priority/echo", ONE, frame, leaving(ONE, ethertype, reply))
        for name, field in (("all", 255), ("ecn", 3), ("expedited", 0xB8)):
            fields = {"tos" if version == 4 else "tc": field}
            sent = packet(version, ONE, FAR_TWO, **fields) / UDP_PACKET
            stimulus(f"{family}/class/{name}", ONE, arriving(ONE, ethertype, sent), leaving(FAR_TWO, ethertype, hop(version, sent)))


def other_tags():
    """VLANs that are not there, and VLAN 0, which is none."""
    for version, family, ethertype in families():
        sent = packet(version, ONE, FAR_ONE) / UDP_PACKET
        on = leaving(FAR_ONE, ethertype, hop(version, sent))
        for name, tags, expected in (
            ("zero-then-vlan", ((0x8100, 0), (0x8100, 100)), [on]),
            ("vlan-then-zero", ((0x8100, 100), (0x8100, 0)), [on]),
            # The driver has every outermost tag that the kernel took off as one of 802.1Q.
            ("other-ethertype", ((0x88A8, 100),), [on]),
            ("unknown-1", ((0x8100, 1),), []),
            ("unknown-99", ((0x8100, 99),), []),
            ("unknown-101", ((0x8100, 101),), []),
            ("of-the-other-port", ((0x88A8, 300), (0x8100, 9)), []),
            ("reserved", ((0x8100, 4095),), []),
            ("inner-alone", ((0x8100, 7),), []),
            ("unknown-inner", ((0x88A8, 200), (0x8100, 8)), []),
            ("unknown-outer", ((0x88A8, 201), (0x8100, 7)), []),
            ("one-too-many", ((0x8100, 100), (0x8100, 7)), []),
            ("turned-round", ((0x8100, 7), (0x88A8, 200)), []),
            ("three", ((0x8100, 0), (0x8100, 0), (0x8100, 100)), []),
        ):
            stimulus(f"{family}/tags/{name}", ONE, arriving(ONE, ethertype, sent, tags), *expected)
        # Whoever sends in no VLAN sends to the port.
        sent = packet(version, PORT, FAR_ONE) / UDP_PACKET
        on = leaving(FAR_ONE, ethertype, hop(version, sent))
        for name, tags in (("zero", ((0x8100, 0),)), ("zero-with-priority", ((0x8100, 0, 7, 0),)), ("zero-twice", ((0x88A8, 0), (0x8100, 0)))):
            stimulus(f"{family}/tags/{name}", PORT, arriving(PORT, ethertype, sent, tags), on)
        # The interface under another has no address: what comes in by it is forwarded all the same, and its errors have none to come from.
        sent = packet(version, TWO, FAR_ONE) / UDP_PACKET
        on = leaving(FAR_ONE, ethertype, hop(version, sent))
        stimulus(f"{family}/tags/outer-alone", TWO, arriving(TWO, ethertype, sent, ((0x88A8, 200),)), on)
        # A neighbour of the wrong VLAN is a sender as any other.
        sent = packet(version, ONE, FAR_ONE) / UDP_PACKET
        on = leaving(FAR_ONE, ethertype, hop(version, sent))
        stimulus(f"{family}/tags/sender-of-another", ONE, arriving(ONE, ethertype, sent, TWO.tags), on)


def lengths():
    """Frames that end too early, or later than their packets."""
    for version, family, ethertype in families():
        sent = packet(version, ONE, FAR_TWO) / UDP_PACKET
        for side in (ONE, TWO):
            whole = packet(version, side, FAR_TWO) / UDP_PACKET
            octets = raw(whole)
            for padding in (1, 2, 46, 200):
                frame = arriving(side, ethertype, Raw(octets + b"\x5a" * padding))
                stimulus(f"{family}/{side.name}/padded/{padding}", side, frame, leaving(FAR_TWO, ethertype, hop(version, whole)))
            for size in sorted({0, 1, 19, 20, 35, len(octets) - 1}):
                stimulus(f"{family}/{side.name}/cut/{size}", side, arriving(side, ethertype, Raw(octets[:size])))
        for length in (0, 3, 46, 1500, 1535):
            stimulus(f"{family}/tags/length-{length}", ONE, arriving(ONE, length, sent))
        other = ETHERTYPE[10 - version]
        stimulus(f"{family}/tags/other-family", ONE, arriving(ONE, other, sent))
    link = {"src": ONE.mac, "dst": ONE.router_mac}
    for size in range(4):
        stimulus(f"tags/cut/{size}", ONE, Ether(type=0x8100, **link) / Raw(bytes(size)))
        stimulus(f"tags/cut-inner/{size}", TWO, Ether(type=0x88A8, **link) / Dot1AD(vlan=200, type=0x8100) / Raw(bytes(size)))
    stimulus("tags/nothing-behind", ONE, Ether(type=0x8100, **link) / Dot1Q(vlan=100, type=0x0800))


def sizes():
    """Packets that fit, that are cut, and about which their senders are told; the tags do not count."""
    for total in (1280, 1399, 1400, 1401, 1500):
        body = bytes(n % 251 for n in range(total - 28))
        for name, flags in (("df", 2), ("may-be-cut", 0)):
            sent = packet(4, ONE, FAR_TWO, flags=flags) / UDP(sport=4000, dport=9) / Raw(body)
            if total <= 1400:
                expected = [leaving(FAR_TWO, 0x0800, hop(4, sent))]
            elif flags:
                expected = [error(4, ONE, ICMP(type=3, code=4, nexthopmtu=1400), sent)]
            else:
                # Each but the last as long as the MTU lets it be, in multiples of eight bytes.
                parts = fragment(IP(raw(hop(4, sent))), fragsize=1376)
                expected = [leaving(FAR_TWO, 0x0800, recount(part)) for part in parts]
            stimulus(f"ip4/size/{total}/{name}", ONE, arriving(ONE, 0x0800, sent), *expected)
        sent = packet(6, ONE, FAR_TWO) / UDP(sport=4000, dport=9) / Raw(body[20:])
        if total <= 1400:
            expected = leaving(FAR_TWO, 0x86DD, hop(6, sent))
        else:
            expected = error(6, ONE, ICMPv6PacketTooBig(mtu=1400), sent)
        stimulus(f"ip6/size/{total}", ONE, arriving(ONE, 0x86DD, sent), expected)


def recount(part):
    """`part` with length and checksum of its own."""
    del part.len, part.chksum
    return part


def fragments():
    """On their way, as any packet; to the gateway, put together."""
    body = raw(UDP(sport=4000, dport=9, len=2008) / bytes(80))
    for side in (ONE, TWO):
        for name, more, offset in (("first", 1, 0), ("middle", 1, 10), ("last", 0, 10), ("tiny-second", 1, 1), ("last-possible", 0, 8189)):
            sent = packet(4, side, FAR_TWO, flags=more, frag=offset, proto=17) / Raw(body)
            stimulus(f"ip4/{side.name}/fragment/{name}", side, arriving(side, 0x0800, sent), leaving(FAR_TWO, 0x0800, hop(4, sent)))
            header = IPv6ExtHdrFragment(nh=17, m=more, offset=offset, id=77)
            sent = packet(6, side, FAR_TWO) / header / Raw(body)
            stimulus(f"ip6/{side.name}/fragment/{name}", side, arriving(side, 0x86DD, sent), leaving(FAR_TWO, 0x86DD, hop(6, sent)))
        sent = packet(4, side, FAR_TWO, ttl=1, flags=0, frag=10, proto=17) / Raw(body)
        stimulus(f"ip4/{side.name}/fragment/last-expired", side, arriving(side, 0x0800, sent))
        for version, family, ethertype in families():
            request, reply = echo(version, side, bytes(range(64)))
            octets = raw(request)[20 if version == 4 else 40 :]
            for begin, end in ((0, 40), (40, len(octets))):
                more = int(end < len(octets))
                if version == 4:
                    part = packet(4, side, side.address(4, 1), flags=more, frag=begin // 8, proto=1) / Raw(octets[begin:end])
                else:
                    header = IPv6ExtHdrFragment(nh=58, m=more, offset=begin // 8, id=78)
                    part = packet(6, side, side.address(6, 1)) / header / Raw(octets[begin:end])
                expected = [] if more else [leaving(side, ethertype, reply)]
                stimulus(f"{family}/{side.name}/reassembly/{begin}", side, arriving(side, ethertype, part), *expected)


def stations():
    """Whose frames they are."""
    for version, family, ethertype in families():
        for side in (ONE, TWO):
            sent = packet(version, side, FAR_ONE) / UDP_PACKET
            request, _ = echo(version, side)
            for name, mac in (
                ("broadcast", EVERYBODY),
                ("all-hosts", "01:00:5e:00:00:01"),
                ("all-nodes", "33:33:00:00:00:01"),
                ("bridge", "01:80:c2:00:00:00"),
                ("other-host", "02:00:00:00:09:09"),
                ("other-port", ROUTER_MAC[1]),
            ):
                for what, inside in (("through", sent), ("echo", request)):
                    stimulus(f"{family}/{side.name}/to/{name}/{what}", side, arriving(side, ethertype, inside, dst=mac))
            stimulus(f"{family}/{side.name}/from/group", side, arriving(side, ethertype, sent, src="01:00:5e:00:00:09"))


def addresses():
    """Addresses that no packet may have; options and headers that go along."""
    for source in ("127.0.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255"):
        sent = packet(4, ONE, FAR_ONE, options=[]) / UDP_PACKET
        sent.src = source
        stimulus(f"ip4/source/{source}", ONE, arriving(ONE, 0x0800, sent))
    for source in ("::", "::1", "ff02::1", "::ffff:10.0.0.1"):
        sent = packet(6, ONE, FAR_ONE) / UDP_PACKET
        sent.src = source
        stimulus(f"ip6/source/{source}", ONE, arriving(ONE, 0x86DD, sent))
    for destination in ("127.0.0.1", "0.0.0.0", "224.0.0.5", "255.255.255.255", "192.168.100.255", "192.168.110.255", "192.168.139.0"):
        stimulus(f"ip4/destination/{destination}", ONE, arriving(ONE, 0x0800, packet(4, ONE, destination) / UDP_PACKET))
    for destination in ("::1", "ff02::5", "ff0e::1", "fe80::77"):
        stimulus(f"ip6/destination/{destination}", ONE, arriving(ONE, 0x86DD, packet(6, ONE, destination) / UDP_PACKET))
    for side in (ONE, TWO):
        sent = packet(4, side, FAR_TWO, options=IPOption_RR(pointer=4, routers=["0.0.0.0", "0.0.0.0"])) / UDP_PACKET
        on = packet(4, side, FAR_TWO, ttl=8, options=IPOption_RR(pointer=8, routers=[FAR_TWO.address(4, 1), "0.0.0.0"])) / UDP_PACKET
        stimulus(f"ip4/{side.name}/record-route", side, arriving(side, 0x0800, sent), leaving(FAR_TWO, 0x0800, on))
        for name, header in (("hop-by-hop", IPv6ExtHdrHopByHop), ("destination-options", IPv6ExtHdrDestOpt)):
            sent = packet(6, side, FAR_TWO) / header(options=[PadN(optdata=bytes(4))]) / UDP_PACKET
            stimulus(f"ip6/{side.name}/{name}", side, arriving(side, 0x86DD, sent), leaving(FAR_TWO, 0x86DD, hop(6, sent)))


def questions():
    """ARP and neighbour discovery, each in its VLAN."""
    for side in TAGGED:
        for name, to in (("broadcast", EVERYBODY), ("unicast", side.router_mac)):
            asked = ARP(op=1, hwsrc=side.mac, psrc=side.address(4, 2), pdst=side.address(4, 1))
            answer = ARP(op=2, hwsrc=side.router_mac, psrc=side.address(4, 1), hwdst=side.mac, pdst=side.address(4, 2))
            # As long as a frame has to be once a bridge has taken its tags off.
            stimulus(f"arp/{side.name}/{name}", side, arriving(side, 0x0806, asked, dst=to), leaving(side, 0x0806, Raw(raw(answer) + bytes(46 - 28))))
        for other in SIDES:
            if other is not side:
                asked = ARP(op=1, hwsrc=side.mac, psrc=side.address(4, 2), pdst=other.address(4, 1))
                stimulus(f"arp/{side.name}/for/{other.name}", side, arriving(side, 0x0806, asked, dst=EVERYBODY))
        source = ICMPv6NDOptSrcLLAddr(lladdr=side.mac)
        for name, to, mac in (("multicast", "ff02::1:ff00:1", "33:33:ff:00:00:01"), ("unicast", side.address(6, 1), side.router_mac)):
            asked = IPv6(src=side.address(6, 2), dst=to, hlim=255) / ICMPv6ND_NS(tgt=side.address(6, 1)) / source
            answer = IPv6(src=side.address(6, 1), dst=side.address(6, 2), hlim=255)
            answer = answer / ICMPv6ND_NA(tgt=side.address(6, 1), R=1, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=side.router_mac)
            stimulus(f"nd/{side.name}/{name}", side, arriving(side, 0x86DD, asked, dst=mac), leaving(side, 0x86DD, answer))
        for other in SIDES:
            if other is not side:
                asked = IPv6(src=side.address(6, 2), dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=other.address(6, 1)) / source
                stimulus(f"nd/{side.name}/for/{other.name}", side, arriving(side, 0x86DD, asked, dst="33:33:ff:00:00:01"))


def main():
    for part in (through, hops_and_ends, priorities, other_tags, lengths, sizes, fragments, stations, addresses, questions):
        part()
    keys = [key for key, _, _, _ in STIMULI]
    assert len(set(keys)) == len(keys), sorted(key for key in keys if keys.count(key) > 1)
    for number, (key, _, _, seen) in enumerate(exchanged(("t",), [entry[:3] for entry in STIMULI])):
        expected = [(link, frame.hex()) for link, frame in STIMULI[number][3]]
        print(json.dumps({"key": key, "expected": expected, "seen": seen["t"]}))


main()
