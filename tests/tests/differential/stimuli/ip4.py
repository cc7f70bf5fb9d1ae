"""IPv4: header fields, lengths, checksums, addresses, fragments, sizes."""

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from world import *

UDP_PACKET = UDP(sport=4000, dport=9) / b"stimulus"
ECHO = ICMP(type=8, id=7, seq=1) / b"stimulus"


def ttls():
    for way, fields in WAYS4.items():
        if way == "expired":
            continue
        for ttl in (0, 1, 2, 3, 64, 128, 255):
            send4(f"ip4/ttl/{ttl}/{way}/udp", ip4(**{**fields, "ttl": ttl}) / UDP_PACKET)
            send4(f"ip4/ttl/{ttl}/{way}/echo", ip4(**{**fields, "ttl": ttl}) / ECHO)


def traffic_classes():
    for tos in range(256):
        send4(f"ip4/tos/{tos}/through", ip4(tos=tos) / UDP_PACKET)
    for tos in (1, 2, 3, 4, 16, 0x28, 0xB8, 0xE0, 255):
        send4(f"ip4/tos/{tos}/echo", ip4(tos=tos, dst=ROUTER4[0]) / ECHO)
        send4(f"ip4/tos/{tos}/port", ip4(tos=tos, dst=ROUTER4[0]) / UDP_PACKET)
        send4(f"ip4/tos/{tos}/expired", ip4(tos=tos, ttl=1) / UDP_PACKET)


def protocols():
    for protocol in range(256):
        send4(f"ip4/protocol/{protocol}/through", ip4(proto=protocol) / Raw(bytes(range(40))))
        send4(f"ip4/protocol/{protocol}/expired", ip4(proto=protocol, ttl=1) / Raw(bytes(range(40))))
        send4(f"ip4/protocol/{protocol}/local", ip4(proto=protocol, dst=ROUTER4[0]) / Raw(bytes(range(40))))


def transport():
    for way, fields in WAYS4.items():
        for port in (0, 1, 22, 53, 67, 179, 520, 4789, 33434, 65535):
            send4(f"ip4/udp/{port}/{way}", ip4(**fields) / UDP(sport=4000, dport=port) / b"stimulus")
        for flags in ("", "S", "SA", "A", "PA", "FA", "R", "RA", "FPU", "SF"):
            packet = ip4(**fields) / TCP(sport=4000, dport=81, flags=flags, seq=1000, ack=2000)
            send4(f"ip4/tcp/{flags or 'none'}/{way}", packet)
    local = {"dst": ROUTER4[0]}
    for way, fields in (("local", local), ("through", {})):
        send4(f"ip4/udp/bad-sum/{way}", ip4(**fields) / UDP(sport=4000, dport=9, chksum=0x1234) / b"stimulus")
        send4(f"ip4/udp/no-sum/{way}", ip4(**fields) / UDP(sport=4000, dport=9, chksum=0) / b"stimulus")
        for length in (0, 7, 8, 9, 17, 200):
            send4(f"ip4/udp/length-{length}/{way}", ip4(**fields) / UDP(sport=4000, dport=9, len=length) / b"stimulus")
        for size in range(8):
            send4(f"ip4/udp/cut-{size}/{way}", ip4(proto=17, **fields) / Raw(raw(UDP(sport=4000, dport=9))[:size]))
        send4(f"ip4/tcp/bad-sum/{way}", ip4(**fields) / TCP(sport=4000, dport=81, chksum=0x1234))
        send4(f"ip4/tcp/cut/{way}", ip4(proto=6, **fields) / Raw(bytes(12)))


def header_fields():
    for version in range(16):
        send4(f"ip4/version/{version}", ip4(version=version) / UDP_PACKET)
    for words in range(16):
        for way in ("through", "local", "expired"):
            # Without a checksum that fits, that is all there is to it.
            packet = bytearray(raw(ip4(ihl=words, **WAYS4[way]) / UDP_PACKET))
            send4(f"ip4/header-length/{words}/{way}", Raw(bytes(packet)))
    for flags in range(8):
        send4(f"ip4/flags/{flags}/through", ip4(flags=flags) / UDP_PACKET)
        send4(f"ip4/flags/{flags}/expired", ip4(flags=flags, ttl=1) / UDP_PACKET)
    for flags in (0, 2, 4, 6):
        send4(f"ip4/flags/{flags}/echo", ip4(flags=flags, dst=ROUTER4[0]) / ECHO)
    for number in (0, 1, 0x7FFF, 0xFFFF):
        send4(f"ip4/id/{number}/through", ip4(id=number) / UDP_PACKET)
        send4(f"ip4/id/{number}/echo", ip4(id=number, dst=ROUTER4[0]) / ECHO)


def checksums():
    for way in ("through", "local", "expired"):
        good = raw(ip4(**WAYS4[way]) / ECHO)
        for bit in range(16):
            bad = bytearray(good)
            bad[10 + bit // 8] ^= 1 << bit % 8
            send4(f"ip4/checksum/bit-{bit}/{way}", Raw(bytes(bad)))
        for value in (0, 0xFFFF):
            bad = bytearray(good)
            bad[10:12] = value.to_bytes(2, "big")
            send4(f"ip4/checksum/{value:#06x}/{way}", Raw(bytes(bad)))
    # The two writings of zero, RFC 1624 section 3: a TTL that makes the sum of a forwarded header roll over.
    for number in range(0, 0x10000, 0x0FFF):
        send4(f"ip4/checksum/id-{number:#06x}", ip4(id=number, ttl=2) / ECHO)
    for zero in find_roll_over():
        send4(f"ip4/checksum/roll-over/{zero:#06x}", ip4(id=zero) / ECHO)
    for checksum in (0, 1, 0x1234, 0xFFFF):
        send4(f"ip4/checksum/icmp-{checksum:#06x}/local", ip4(dst=ROUTER4[0]) / ICMP(type=8, id=7, seq=1, chksum=checksum) / b"stimulus")
        send4(f"ip4/checksum/icmp-{checksum:#06x}/through", ip4() / ICMP(type=8, id=7, seq=1, chksum=checksum) / b"stimulus")


def find_roll_over():
    """Identifications with which the checksum is 0x0000 or 0xfe.. to 0xff.. before the TTL shrinks."""
    base = IP(raw(ip4(id=0) / ECHO)).chksum
    for wanted in (0xFFFE, 0xFEFF, 0xFF00, 0xFE00, 0x0000, 0x0001):
        # checksum(id) is base - id in ones' complement.
        yield (base - wanted) % 0xFFFF


def lengths():
    for way in ("through", "local", "expired"):
        packet = raw(ip4(**WAYS4[way]) / ECHO)
        for total in (0, 1, 19, 20, 21, 27, 28, len(packet) - 1, len(packet) + 1, 1500, 65535):
            wrong = raw(ip4(len=total, **WAYS4[way]) / ECHO)
            send4(f"ip4/length/total-{total}/{way}", Raw(wrong))
        for padding in (1, 2, 6, 100):
            send4(f"ip4/length/padded-{padding}/{way}", Raw(packet + b"\x5a" * padding))
        for size in (0, 1, 19, 20, 27):
            send4(f"ip4/length/cut-{size}/{way}", Raw(packet[:size]))


def sizes():
    for way, fields in (
        ("through", {}),
        ("small-mtu", {"dst": FAR4[2]}),
        ("expired", {"ttl": 1}),
        ("local", {"dst": ROUTER4[0]}),
        ("no-route", {"dst": NOWHERE4}),
    ):
        for total in (28, 29, 68, 547, 548, 549, 576, 577, 1280, 1399, 1400, 1401, 1499, 1500):
            body = Raw(bytes(n % 251 for n in range(total - 28)))
            for name, flags in (("df", 2), ("may-be-cut", 0)):
                send4(f"ip4/size/{total}/{name}/{way}/echo", ip4(flags=flags, **fields) / ICMP(type=8, id=7, seq=1) / body)
                send4(f"ip4/size/{total}/{name}/{way}/udp", ip4(flags=flags, **fields) / UDP(sport=4000, dport=9) / body)
    for total in (1401, 1500):
        size = total - 28
        for name, flags in (("df", 2), ("may-be-cut", 0)):
            send4(f"ip4/size/{total}/{name}/small-mtu/expired", ip4(flags=flags, ttl=1, dst=FAR4[2]) / UDP(dport=9) / bytes(size))
            send4(f"ip4/size/{total}/{name}/small-mtu/fragment", ip4(flags=flags | 1, frag=5, dst=FAR4[2]) / bytes(size))
            send4(f"ip4/size/{total}/{name}/small-mtu/error", ip4(flags=flags, dst=FAR4[2]) / ICMP(type=3) / bytes(size))
    send4("ip4/size/1500/df/small-mtu/from-far", ip4(src=FAR4[0], flags=2, dst=FAR4[2]) / UDP(dport=9) / bytes(1472))


SOURCES = {
    "own": ROUTER4[0],
    "own-other-link": ROUTER4[1],
    "subnet-broadcast": "192.168.1.255",
    "subnet-network": "192.168.1.0",
    "other-subnet-broadcast": "192.168.2.255",
    "other-subnet-network": "192.168.2.0",
    "any": "0.0.0.0",
    "this-network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "loopback-net": "127.9.9.9",
    "multicast": "224.0.0.1",
    "multicast-high": "239.255.255.255",
    "class-e": "240.0.0.1",
    "class-e-high": "255.255.255.254",
    "broadcast": "255.255.255.255",
    "link-local": "169.254.1.1",
    "other-link": HOST4[1],
    "far": FAR4[0],
    "far-other-link": FAR4[1],
    "no-route": NOWHERE4,
    "blackhole": BLACKHOLE4,
}


def sources():
    for name, source in SOURCES.items():
        for way, fields in WAYS4.items():
            send4(f"ip4/source/{name}/{way}/udp", ip4(src=source, **fields) / UDP_PACKET)
            send4(f"ip4/source/{name}/{way}/echo", ip4(src=source, **fields) / ECHO)
    for way, fields in WAYS4.items():
        send4(f"ip4/source/land/{way}", ip4(**{**fields, "src": fields["dst"]}) / UDP_PACKET)


DESTINATIONS = {
    "all-hosts": "224.0.0.1",
    "all-routers": "224.0.0.2",
    "ospf": "224.0.0.5",
    "group": "239.1.2.3",
    "group-global": "233.252.0.1",
    "broadcast": "255.255.255.255",
    "subnet-broadcast": "192.168.1.255",
    "subnet-network": "192.168.1.0",
    "other-subnet-broadcast": "192.168.2.255",
    "other-subnet-network": "192.168.2.0",
    "any": "0.0.0.0",
    "this-network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "loopback-net": "127.9.9.9",
    "class-e": "240.0.0.1",
    "class-e-high": "255.255.255.254",
    "link-local": "169.254.1.1",
    "third-local": ROUTER4[2],
    "sender": HOST4[0],
    "back": FAR4[0],
}


def destinations():
    payloads = {"udp": UDP_PACKET, "echo": ECHO, "tcp": TCP(sport=4000, dport=81), "unknown": Raw(bytes(20))}
    for name, destination in DESTINATIONS.items():
        for kind, payload in payloads.items():
            fields = {"dst": destination, **({"proto": 253} if kind == "unknown" else {})}
            send4(f"ip4/destination/{name}/{kind}", ip4(**fields) / payload)
            send4(f"ip4/destination/{name}/{kind}/expired", ip4(ttl=1, **fields) / payload)
    for link in (1, 2):
        for other in LINKS:
            for kind, payload in (("udp", UDP_PACKET), ("echo", ECHO)):
                fields = {"src": HOST4[link], "dst": FAR4[other]}
                send4(f"ip4/link/{link}-{other}/{kind}", ip4(**fields) / payload, link)
                send4(f"ip4/link/{link}-{other}/{kind}/expired", ip4(ttl=1, **fields) / payload, link)
            send4(f"ip4/link/{link}-{other}/local", ip4(src=HOST4[link], dst=ROUTER4[other]) / ECHO, link)


def fragments():
    body = raw(UDP(sport=4000, dport=9, len=2008) / bytes(80))
    for way, fields in WAYS4.items():
        for name, flags, offset in (
            ("first", 1, 0),
            ("middle", 1, 10),
            ("last", 0, 10),
            ("tiny-second", 1, 1),
            ("last-possible", 0, 8189),
            ("beyond-the-end", 1, 8191),
            ("df-first", 3, 0),
            ("df-last", 2, 10),
        ):
            packet = ip4(flags=flags, frag=offset, proto=17, id=len(STIMULI) & 0xFFFF, **fields)
            send4(f"ip4/fragment/{name}/{way}", packet / Raw(body))
        send4(f"ip4/fragment/odd-length/{way}", ip4(flags=1, proto=17, id=len(STIMULI) & 0xFFFF, **fields) / Raw(body[:83]))
        send4(f"ip4/fragment/echo/{way}", ip4(flags=1, id=len(STIMULI) & 0xFFFF, **fields) / ECHO)
    echo = raw(ICMP(type=8, id=7, seq=1) / bytes(range(64)))
    for name, pieces in {
        "in-order": ((0, 40), (40, 72)),
        "backwards": ((40, 72), (0, 40)),
        "doubled": ((0, 40), (0, 40), (40, 72)),
        "gap": ((0, 32), (40, 72)),
    }.items():
        number = len(STIMULI) & 0xFFFF
        for begin, end in pieces:
            packet = ip4(dst=ROUTER4[0], id=number, proto=1, flags=int(end < len(echo)), frag=begin // 8)
            send4(f"ip4/reassembly/{name}/{len(STIMULI) - number}-{begin}", packet / Raw(echo[begin:end]))


def make():
    for part in (ttls, traffic_classes, protocols, transport, header_fields, checksums, lengths, sizes, sources, destinations, fragments):
        part()
