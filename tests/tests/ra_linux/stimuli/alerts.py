"""Router alerts: what a raw-socket relay of Linux was seen to do with, well-formed and not, by scenario."""

from scapy.compat import raw
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Jumbo,
    Pad1,
    PadN,
    RouterAlert,
)
from scapy.packet import Raw

from ip4_options import option, with_options
from world import *

# What relays take: a value of IPv6, a protocol of IPv4. Values of IPv4 are nearly always 0.
VALUE = 5
PROTOCOL = 46
# Values of IPv6 that somebody takes in another namespace, who shares alerts and who does not.
SHARED = 65510
ISOLATED = 65511

# From 2001:db8::214:51ff:fe2f:1556 to 2404:6800:4005:803::200e, value 5, a TCP segment and 102 bytes of text.
SEED = bytes.fromhex(
    "60000000008200ff20010db800000000021451fffe2f15562404680040050803000000000000200e06000502000501000050005000000000000000005002ffff7bba0000"
    "e8afb7e5b086e7bd91e58da1e79a844d5455e7bca9e5b08fe4b8ba31333030efbc8ce5b9b6e4b894e8b083e695b4e4b88be99da2e79a84e58685e6a0b8e58f82"
    "e695b0efbc9a0a6e65742e636f72652e726d656d5f64656661756c74203d203430303338320a"
)
# From 198.51.100.1 to 203.0.113.77, value 0, of protocol 46.
SEED4 = bytes.fromhex("4600002812340000402e6cedc6336401cb00714d94040000525356502d64656d6f2d646174612121")
UDP_PACKET = UDP(sport=4000, dport=9) / b"stimulus"


def alert(value=VALUE):
    return RouterAlert(value=value)


def header(*options):
    """A hop-by-hop header with these options in this order, and not a byte of padding besides but at its end."""
    return IPv6ExtHdrHopByHop(options=list(options), autopad=0)


def with_alert4(source, destination, payload, value=0, proto=PROTOCOL, options=None, **fields):
    options = option(148, value.to_bytes(2, "big")) if options is None else options
    packet = ip4(src=source, dst=destination, ihl=5 + len(options) // 4, proto=proto, **fields)
    return with_options(packet, options, raw(payload))


def seeds():
    send6("v6/seed", Raw(SEED))
    send4("v4/seed", Raw(SEED4))


def last_hops():
    """Packets that may go no further."""
    for hops in (0, 1, 2):
        send6(f"v6/hop-limit/{hops}", ip6(hlim=hops) / header(alert(), pad(0)) / UDP_PACKET)
    for hops in (1, 2):
        send4(f"v4/ttl/{hops}", with_alert4(HOST4[0], FAR4[1], Raw(b"last hop"), ttl=hops))


def sources():
    for name, source in {"nobody": "::", "loopback": "::1", "group": "ff02::1", "link-local": "fe80::1"}.items():
        send6(f"v6/source/{name}", ip6(src=source) / header(alert(), pad(0)) / UDP_PACKET)


def pad(count):
    """Padding of two bytes and so many more."""
    return PadN(optdata=bytes(count))


def unknown(kind, data):
    return HBHOptUnknown(otype=kind, optdata=data)


def options():
    """What stands in a hop-by-hop header, in this order; each list fills a multiple of 8 bytes with the two before it."""
    found = {
        "other-value": [alert(VALUE + 1), pad(0)],
        "alert-length/0": [unknown(5, b""), pad(2)],
        "alert-length/4": [unknown(5, b"\0\5\0\0")],
        "twice/same": [alert(), alert(), pad(4)],
        "twice/other-then-wanted": [alert(VALUE + 1), alert(), pad(4)],
        "twice/wanted-then-other": [alert(), alert(VALUE + 1), pad(4)],
        "misaligned": [Pad1(), alert(), Pad1()],
        "behind-padding": [pad(0), alert()],
        "padding/not-zero": [alert(), PadN(optdata=b"\1\2\3\4"), unknown(0x1E, b"\0\0")],
        "padding/long": [alert(), pad(6), pad(0)],
        "padding/eight-of-one": [alert(), *[Pad1()] * 8, unknown(0x1E, b"")],
        "padding/seven-bytes": [alert(), pad(5), unknown(0x1E, b"\0")],
        "jumbo/behind-a-length": [Jumbo(jumboplen=65536), alert(), pad(2)],
        "jumbo/not-one": [Jumbo(jumboplen=16), alert(), pad(2)],
        "overrun": [alert(), Raw(b"\1\4")],
        "many/eight": [alert(), *[unknown(0x1E, b"")] * 7, pad(2)],
        "many/nine": [alert(), *[unknown(0x1E, b"")] * 8, pad(0)],
        "long/256": [alert(), unknown(0x1E, bytes(248))],
        "long/264": [alert(), unknown(0x1E, bytes(248)), unknown(0x1E, bytes(6))],
    }
    # By what their two highest bits say: skip, drop, answer, answer unless to a group.
    for kind in (0x1E, 0x5E, 0x9E, 0xDE):
        found[f"unknown/{kind:#04x}"] = [alert(), pad(0), unknown(kind, bytes(6))]
        found[f"unknown-before/{kind:#04x}"] = [unknown(kind, bytes(6)), alert(), pad(0)]
    for name, listed in found.items():
        send_options(f"v6/option/{name}", listed)
    send_options("v6/option/unknown-to-group/0xde", found["unknown/0xde"], "ff0e::1234")


def send_options(key, listed, destination=FAR6[1]):
    body = b"".join(raw(listed_one) for listed_one in listed)
    assert len(body) % 8 == 6, key
    head = bytes([17, (len(body) + 2) // 8 - 1])
    send6(key, ip6(dst=destination, nh=0) / Raw(head + body + udp_between(destination)))


def udp_between(destination=FAR6[1]):
    """A datagram whose checksum is right, behind any extension headers."""
    return raw(IPv6(src=HOST6[0], dst=destination) / UDP_PACKET)[40:]


def headers():
    """Where a hop-by-hop header may not be, or not so long."""
    send6("v6/header/overruns", ip6(nh=0) / Raw(bytes([17, 40]) + raw(alert()) + raw(pad(0)) + udp_between()))
    late = header(alert(VALUE + 1), pad(0))
    send6("v6/header/twice", ip6() / header(alert(), pad(0)) / late / UDP_PACKET)
    send6("v6/header/late", ip6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / header(alert(), pad(0)) / UDP_PACKET)
    send6("v6/header/destination-options", ip6() / IPv6ExtHdrDestOpt(options=[alert(), pad(0)], autopad=0) / UDP_PACKET)
    send6("v6/local", ip6(dst=ROUTER6[0]) / header(alert(), pad(0)) / UDP_PACKET)
    send6("v6/no-route", ip6(dst=NOWHERE6) / header(alert(), pad(0)) / UDP_PACKET)


def fragments():
    for name, more, offset in (("first", 1, 0), ("last", 0, 2)):
        fragment = IPv6ExtHdrFragment(nh=17, m=more, offset=offset, id=7)
        send6(f"v6/fragment/{name}", ip6() / header(alert(), pad(0)) / fragment / Raw(bytes(16)))
        body = Raw(bytes(range(16)))
        send4(f"v4/fragment/{name}", with_alert4(HOST4[0], FAR4[1], body, flags=more, frag=offset, id=0x4321))
    send4("v4/fragment/lone", with_alert4(HOST4[0], FAR4[1], Raw(bytes(16)), flags=1, id=0x4322))


def options4():
    send4("v4/value/5", with_alert4(HOST4[0], FAR4[1], Raw(b"stimulus"), value=5))
    send4("v4/protocol/17", with_alert4(HOST4[0], FAR4[1], Raw(udp4()), proto=17))
    found = {
        "behind-nop": b"\x01" * 4 + option(148, b"\0\0"),
        "behind-route": option(7, b"\x04", bytes(4)) + b"\x01" + option(148, b"\0\0"),
        "behind-end": b"\0\0\0\0" + option(148, b"\0\0"),
        "twice": option(148, b"\0\0") * 2,
        "alert-length/3": option(148, b"\0") + b"\0",
        "alert-length/8": option(148, bytes(6)),
        "length/0": b"\x94\0\0\0",
        "length/beyond": b"\x94\x05\0\0",
    }
    for name, listed in found.items():
        send4(f"v4/option/{name}", with_alert4(HOST4[0], FAR4[1], Raw(b"stimulus"), options=listed))


def udp4():
    return raw(IP(src=HOST4[0], dst=FAR4[1]) / UDP_PACKET)[20:]


def no_listener():
    """Nobody takes any."""
    seeds()
    last_hops()
    return {}


def swallowed():
    """Somebody takes them and sends nothing on."""
    send6("v6/seed", Raw(SEED))
    return {}


def one_listener():
    """A relay each."""
    for part in (seeds, last_hops, sources, options, headers, fragments, options4):
        part()
    return {"l": 1, "t": 1}


def two_listeners():
    """Two relays want the same on either side; what the second becomes in Tollgate is its own affair."""
    seeds()
    return {"l": 2, "t": 1}


def listener_elsewhere():
    """Who takes them is in another namespace, or of another instance."""
    for name, value in (("shared", SHARED), ("isolated", ISOLATED)):
        send6(f"v6/{name}", ip6() / header(alert(value), pad(0)) / UDP_PACKET)
    return {}


SCENARIOS = {
    "nobody": no_listener,
    "swallowed": swallowed,
    "relayed": one_listener,
    "two-relays": two_listeners,
    "elsewhere": listener_elsewhere,
}
