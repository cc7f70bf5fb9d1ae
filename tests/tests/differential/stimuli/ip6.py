"""IPv6: header fields, lengths, addresses, sizes, extension headers with every kind of option, fragments."""

from scapy.compat import raw
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    Pad1,
    PadN,
    RouterAlert,
)
from scapy.packet import Raw

from world import *

UDP_PACKET = UDP(sport=4000, dport=9) / b"stimulus"
ECHO = ICMPv6EchoRequest(id=7, seq=1, data=b"stimulus")


def header_fields():
    for way, fields in WAYS6.items():
        if way != "expired":
            for limit in (0, 1, 2, 3, 64, 128, 255):
                send6(f"ip6/hop-limit/{limit}/{way}/udp", ip6(**{**fields, "hlim": limit}) / UDP_PACKET)
                send6(f"ip6/hop-limit/{limit}/{way}/echo", ip6(**{**fields, "hlim": limit}) / ECHO)
    for tc in range(0, 256, 3):
        send6(f"ip6/traffic-class/{tc}/through", ip6(tc=tc) / UDP_PACKET)
    for tc in (1, 2, 3, 4, 0x28, 0xB8, 0xE0, 255):
        send6(f"ip6/traffic-class/{tc}/echo", ip6(tc=tc, dst=ROUTER6[0]) / ECHO)
        send6(f"ip6/traffic-class/{tc}/expired", ip6(tc=tc, hlim=1) / UDP_PACKET)
    for label in (0, 1, 0x12345, 0xFFFFF):
        for way in ("through", "expired", "local"):
            send6(f"ip6/flow-label/{label:#07x}/{way}", ip6(fl=label, **WAYS6[way]) / ECHO)
    for version in range(16):
        send6(f"ip6/version/{version}", ip6(version=version) / UDP_PACKET)
    for protocol in range(256):
        for way in ("through", "expired", "local"):
            send6(f"ip6/next-header/{protocol}/{way}", ip6(nh=protocol, **WAYS6[way]) / Raw(bytes(range(40))))


def transport():
    for way, fields in WAYS6.items():
        for port in (0, 1, 22, 53, 179, 521, 4789, 65535):
            send6(f"ip6/udp/{port}/{way}", ip6(**fields) / UDP(sport=4000, dport=port) / b"stimulus")
        for flags in ("", "S", "SA", "A", "FA", "R", "FPU"):
            send6(f"ip6/tcp/{flags or 'none'}/{way}", ip6(**fields) / TCP(sport=4000, dport=81, flags=flags, seq=1000, ack=2000))
    for way, fields in (("local", WAYS6["local"]), ("through", {})):
        for checksum in (0, 0x1234):
            send6(f"ip6/udp/sum-{checksum:#06x}/{way}", ip6(**fields) / UDP(sport=4000, dport=9, chksum=checksum) / b"stimulus")
        for length in (0, 7, 8, 9, 17, 200):
            send6(f"ip6/udp/length-{length}/{way}", ip6(**fields) / UDP(sport=4000, dport=9, len=length) / b"stimulus")
        for size in range(8):
            send6(f"ip6/udp/cut-{size}/{way}", ip6(nh=17, **fields) / Raw(raw(UDP(sport=4000, dport=9))[:size]))


def lengths():
    for way in ("through", "local", "expired"):
        packet = raw(ip6(**WAYS6[way]) / ECHO)
        for length in (0, 1, 7, 8, len(packet) - 41, len(packet) - 39, 1460, 65535):
            wrong = bytearray(packet)
            wrong[4:6] = length.to_bytes(2, "big")
            send6(f"ip6/length/payload-{length}/{way}", Raw(bytes(wrong)))
        for padding in (1, 2, 100):
            send6(f"ip6/length/padded-{padding}/{way}", Raw(packet + b"\x5a" * padding))
        for size in (0, 1, 39, 40, 47):
            send6(f"ip6/length/cut-{size}/{way}", Raw(packet[:size]))


def sizes():
    for way, fields in (
        ("through", {}),
        ("small-mtu", {"dst": FAR6[2]}),
        ("expired", {"hlim": 1}),
        ("small-mtu-expired", {"hlim": 1, "dst": FAR6[2]}),
        ("local", {"dst": ROUTER6[0]}),
        ("no-route", {"dst": NOWHERE6}),
    ):
        for total in (48, 49, 1231, 1232, 1233, 1280, 1281, 1399, 1400, 1401, 1499, 1500):
            body = bytes(n % 251 for n in range(total - 48))
            send6(f"ip6/size/{total}/{way}/echo", ip6(**fields) / ICMPv6EchoRequest(id=7, seq=1, data=body))
            send6(f"ip6/size/{total}/{way}/udp", ip6(**fields) / UDP(sport=4000, dport=9) / Raw(body))
    later = IPv6ExtHdrFragment(nh=17, offset=10, m=1, id=7) / Raw(bytes(1440))
    send6("ip6/size/1488/small-mtu/fragment", ip6(dst=FAR6[2]) / later)
    send6("ip6/size/1500/small-mtu/from-far", ip6(src=FAR6[0], dst=FAR6[2]) / UDP(dport=9) / bytes(1452))


SOURCES = {
    "own": ROUTER6[0],
    "own-other-link": ROUTER6[1],
    "own-link-local": ROUTER6_LINK[0],
    "any": "::",
    "loopback": "::1",
    "mapped": "::ffff:192.168.1.2",
    "compatible": "::192.168.1.2",
    "multicast": "ff02::1",
    "multicast-global": "ff0e::1",
    "link-local": HOST6_LINK[0],
    "unique-local": "fd00::7",
    "site-local": "fec0::7",
    "subnet-router-anycast": "2001:db8:1::",
    "other-link": HOST6[1],
    "far": FAR6[0],
    "far-other-link": FAR6[1],
    "no-route": NOWHERE6,
    "blackhole": BLACKHOLE6,
    "discard-only": "100::1",
    "sixtofour": "2002:a00:7::1",
}
DESTINATIONS = {
    "any": "::",
    "loopback": "::1",
    "mapped": "::ffff:10.1.0.7",
    "compatible": "::10.1.0.7",
    "own-link-local": ROUTER6_LINK[0],
    "own-link-local-other-link": ROUTER6_LINK[1],
    "link-local": "fe80::77",
    "host-link-local": HOST6_LINK[0],
    "all-nodes": "ff02::1",
    "all-nodes-interface": "ff01::1",
    "all-routers": "ff02::2",
    "all-routers-site": "ff05::2",
    "ospf": "ff02::5",
    "mld": "ff02::16",
    "solicited-mine": "ff02::1:ff00:1",
    "solicited-other": "ff02::1:ff00:99",
    "reserved-group": "ff00::1",
    "global-group": "ff0e::1234",
    "subnet-router-anycast": "2001:db8:1::",
    "subnet-router-anycast-other": "2001:db8:2::",
    "third-local": ROUTER6[2],
    "sender": HOST6[0],
    "back": FAR6[0],
    "unique-local": "fd00::7",
}


def addresses():
    for name, source in SOURCES.items():
        for way, fields in WAYS6.items():
            send6(f"ip6/source/{name}/{way}/udp", ip6(src=source, **fields) / UDP_PACKET)
            send6(f"ip6/source/{name}/{way}/echo", ip6(src=source, **fields) / ECHO)
    for way, fields in WAYS6.items():
        send6(f"ip6/source/land/{way}", ip6(**{**fields, "src": fields["dst"]}) / UDP_PACKET)
    payloads = {"udp": UDP_PACKET, "echo": ECHO, "tcp": TCP(sport=4000, dport=81), "unknown": Raw(bytes(20))}
    for name, destination in DESTINATIONS.items():
        for kind, payload in payloads.items():
            fields = {"dst": destination, **({"nh": 253} if kind == "unknown" else {})}
            for frame, mac in group_macs(destination).items():
                link = ether(type=0x86DD, dst=mac)
                stimulus(f"ip6/destination/{name}/{kind}/{frame}", link / (ip6(**fields) / payload))
                stimulus(f"ip6/destination/{name}/{kind}/{frame}/expired", link / (ip6(hlim=1, **fields) / payload))
    for kind in (0x1E, 0x5E, 0x9E, 0xDE):
        options = IPv6ExtHdrHopByHop(options=[RouterAlert(value=5), HBHOptUnknown(otype=kind)])
        fields = {"dst": DESTINATIONS["global-group"]}
        for frame, mac in group_macs(fields["dst"]).items():
            stimulus(f"ip6/hop-by-hop/group-{kind:#04x}/{frame}", ether(type=0x86DD, dst=mac) / (ip6(**fields) / options / UDP_PACKET))
    for link in (1, 2):
        for other in LINKS:
            fields = {"src": HOST6[link], "dst": FAR6[other]}
            send6(f"ip6/link/{link}-{other}/udp", ip6(**fields) / UDP_PACKET, link)
            send6(f"ip6/link/{link}-{other}/expired", ip6(hlim=1, **fields) / UDP_PACKET, link)
            send6(f"ip6/link/{link}-{other}/local", ip6(src=HOST6[link], dst=ROUTER6[other]) / ECHO, link)


def group_macs(address):
    """The MAC addresses to send a packet for `address` to: the router's, and that of a group."""
    if not address.startswith("ff"):
        return {"unicast": ROUTER_MAC[0]}
    octets = raw(IPv6(dst=address))[36:40]
    return {"unicast": ROUTER_MAC[0], "group": "33:33:" + ":".join(f"{octet:02x}" for octet in octets)}


def options():
    """All options by their four classes of action, known ones, and malformed ones."""
    found = {f"kind-{kind:#04x}": [HBHOptUnknown(otype=kind, optdata=b"data")] for kind in (0x1E, 0x3E, 0x5E, 0x7E, 0x9E, 0xBE, 0xDE, 0xFE)}
    found |= {f"empty-{kind:#04x}": [HBHOptUnknown(otype=kind)] for kind in (0x1E, 0x5E, 0x9E, 0xDE)}
    found |= {f"late-{kind:#04x}": [PadN(optdata=bytes(6)), HBHOptUnknown(otype=kind, optdata=b"data")] for kind in (0x1E, 0x5E, 0x9E, 0xDE)}
    found |= {
        "nothing": [],
        "pad1": [Pad1()] * 6,
        "padn": [PadN(optdata=bytes(4))],
        "padn-not-zero": [PadN(optdata=b"\x01\x02\x03\x04")],
        "padn-long": [PadN(optdata=bytes(12))],
        "router-alert": [RouterAlert(value=0)],
        "router-alert-twice": [RouterAlert(value=0)] * 2,
        "router-alert-short": [HBHOptUnknown(otype=5, optdata=b"\0")],
        "jumbo": [Jumbo(jumboplen=70000)],
        "jumbo-small": [Jumbo(jumboplen=16)],
        "home-address": [HBHOptUnknown(otype=201, optdata=bytes(16))],
        "tunnel-limit": [HBHOptUnknown(otype=4, optdata=b"\x04")],
        "calipso": [HBHOptUnknown(otype=7, optdata=bytes(8))],
        "ioam": [HBHOptUnknown(otype=0x31, optdata=bytes(6))],
        "two-unknown": [HBHOptUnknown(otype=0x1E, optdata=b"data"), HBHOptUnknown(otype=0xDE, optdata=b"data")],
    }
    return found


WAYS_OF_OPTIONS = {
    "through": ({}, UDP_PACKET),
    "expired": ({"hlim": 1}, UDP_PACKET),
    "echo": ({"dst": ROUTER6[0]}, ECHO),
    "port": ({"dst": ROUTER6[0]}, UDP_PACKET),
    "no-route": ({"dst": NOWHERE6}, UDP_PACKET),
    "all-nodes": ({"dst": "ff02::1"}, ECHO),
}


def send_way(key, way, chain):
    """Sends extension headers on one of the ways."""
    fields, payload = WAYS_OF_OPTIONS[way]
    mac = "33:33:00:00:00:01" if way == "all-nodes" else ROUTER_MAC[0]
    stimulus(f"{key}/{way}", ether(type=0x86DD, dst=mac) / (ip6(**fields) / chain / payload))


def extension_headers():
    for way in WAYS_OF_OPTIONS:
        for name, found in options().items():
            send_way(f"ip6/hop-by-hop/{name}", way, IPv6ExtHdrHopByHop(options=found))
            send_way(f"ip6/destination-options/{name}", way, IPv6ExtHdrDestOpt(options=found))
        for routing_type in (0, 1, 2, 3, 4, 5, 6, 200, 253):
            for left in (0, 1, 2, 255):
                # scapy's default has room for one address.
                header = IPv6ExtHdrRouting(type=routing_type, segleft=left, addresses=["2001:db8:77::1", FAR6[2]])
                send_way(f"ip6/routing/{routing_type}/left-{left}", way, header)
        chains = {
            "usual-order": IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(type=253, segleft=0) / IPv6ExtHdrDestOpt(),
            "hop-by-hop-late": IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop(),
            "hop-by-hop-twice": IPv6ExtHdrHopByHop() / IPv6ExtHdrHopByHop(),
            "seven": IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt(),
            "atomic-fragment": IPv6ExtHdrFragment(offset=0, m=0, id=0x51),
            "atomic-then-options": IPv6ExtHdrFragment(offset=0, m=0, id=0x52) / IPv6ExtHdrDestOpt(),
            "twice-atomic": IPv6ExtHdrFragment(offset=0, m=0, id=0x53) / IPv6ExtHdrFragment(offset=0, m=0, id=0x54),
        }
        for name, chain in chains.items():
            send_way(f"ip6/chain/{name}", way, chain)
    malformed()


def malformed():
    """Headers that overrun, are cut, or name none."""
    for way in ("through", "expired", "local"):
        fields = WAYS6[way]
        for kind, number in (("hop-by-hop", 0), ("destination-options", 60), ("routing", 43)):
            for name, body in {
                "overruns": bytes([17, 40]) + bytes(6),
                "cut": bytes([17]),
                "nothing": b"",
                "option-overruns": bytes([59, 0, 0x1E, 9]) + bytes(4),
                "padn-overruns": bytes([59, 0, 1, 9]) + bytes(4),
                "no-next-header": bytes([59, 0, 1, 4]) + bytes(4),
                "option-length-missing": bytes([59, 0, 1, 3, 0, 0, 0, 0x1E]),
            }.items():
                send6(f"ip6/malformed/{kind}/{name}/{way}", ip6(nh=number, **fields) / Raw(body))
        send6(f"ip6/malformed/fragment/cut/{way}", ip6(nh=44, **fields) / Raw(bytes([17, 0, 0])))
        send6(f"ip6/malformed/no-next-header-with-data/{way}", ip6(nh=59, **fields) / Raw(bytes(16)))


def fragments():
    body = raw(UDP(sport=4000, dport=9, len=2008) / bytes(80))
    for way, fields in WAYS6.items():
        for name, more, offset in (("first", 1, 0), ("middle", 1, 10), ("last", 0, 10), ("beyond-the-end", 1, 8191)):
            header = IPv6ExtHdrFragment(nh=17, m=more, offset=offset, id=len(STIMULI))
            send6(f"ip6/fragment/{name}/{way}", ip6(**fields) / header / Raw(body))
        odd = IPv6ExtHdrFragment(nh=17, m=1, offset=0, id=len(STIMULI))
        send6(f"ip6/fragment/odd-length/{way}", ip6(**fields) / odd / Raw(body[:83]))
        error = IPv6ExtHdrFragment(nh=58, m=1, offset=0, id=len(STIMULI))
        send6(f"ip6/fragment/first-of-error/{way}", ip6(**fields) / error / Raw(bytes([1, 0]) + bytes(62)))
        later = IPv6ExtHdrFragment(nh=58, m=0, offset=10, id=len(STIMULI))
        send6(f"ip6/fragment/last-of-icmp/{way}", ip6(**fields) / later / Raw(bytes(64)))
    echo = raw(ip6(dst=ROUTER6[0]) / ICMPv6EchoRequest(id=7, seq=1, data=bytes(range(64))))[40:]
    for name, pieces in {"in-order": ((0, 40), (40, 72)), "backwards": ((40, 72), (0, 40)), "overlap": ((0, 40), (32, 72))}.items():
        number = len(STIMULI)
        for begin, end in pieces:
            header = IPv6ExtHdrFragment(nh=58, offset=begin // 8, m=int(end < len(echo)), id=number)
            send6(f"ip6/reassembly/{name}/{begin}", ip6(dst=ROUTER6[0]) / header / Raw(echo[begin:end]))


def make():
    for part in (header_fields, transport, lengths, sizes, addresses, extension_headers, fragments):
        part()
