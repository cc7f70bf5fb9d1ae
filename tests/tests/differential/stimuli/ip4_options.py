"""IPv4 options: well-formed, full, empty, pointing elsewhere, malformed; each through the router, to it, and expiring."""

from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from world import *

A = bytes([10, 9, 9, 1])
B = bytes([10, 9, 9, 2])
MINE = bytes([192, 168, 1, 1])
NEXT = bytes([192, 168, 2, 2])
NONE = bytes(4)


def option(kind, *data):
    """An option with its length."""
    body = b"".join(data)
    return bytes([kind, len(body) + 2]) + body


def route(kind, pointer, *stations):
    return option(kind, bytes([pointer]), *stations)


def stamp(pointer, overflow_flag, *data):
    return option(68, bytes([pointer, overflow_flag]), *data)


OPTIONS = {
    "nop": b"\x01" * 4,
    "end": b"\x00" * 4,
    "end-then-rubbish": b"\x00\x83\x00\x07",
    "rr-empty": route(7, 4, NONE, NONE, NONE),
    "rr-one-free": route(7, 8, A, NONE),
    "rr-full": route(7, 12, A, B),
    "rr-nine": route(7, 4, *[NONE] * 9),
    "rr-no-room": route(7, 4),
    "rr-partly": route(7, 8, A, b"\x00\x00"),
    "rr-odd-pointer": route(7, 5, NONE, NONE),
    "rr-pointer-small": route(7, 3, NONE),
    "rr-pointer-zero": route(7, 0, NONE),
    "rr-pointer-beyond": route(7, 200, NONE),
    "rr-twice": route(7, 4, NONE) + route(7, 4, NONE),
    "rr-length-two": b"\x07\x02",
    "rr-overruns": b"\x07\x0b\x04" + NONE,
    "lsrr-through": route(131, 4, NEXT),
    "lsrr-mine": route(131, 4, MINE, NEXT),
    "lsrr-used-up": route(131, 8, A),
    "lsrr-pointer-small": route(131, 3, A),
    "lsrr-empty": route(131, 4),
    "lsrr-twice": route(131, 8, A) + route(131, 8, A),
    "ssrr-through": route(137, 4, NEXT),
    "ssrr-used-up": route(137, 8, A),
    "ssrr-pointer-small": route(137, 1, A),
    "lsrr-and-ssrr": route(131, 8, A) + route(137, 8, A),
    "lsrr-length-two": b"\x83\x02",
    "ts-stamps": stamp(5, 0x00, NONE, NONE),
    "ts-addresses": stamp(5, 0x01, NONE, NONE, NONE, NONE),
    "ts-prespecified-mine": stamp(5, 0x03, MINE, NONE),
    "ts-prespecified-other": stamp(5, 0x03, A, NONE),
    "ts-full": stamp(9, 0x00, A),
    "ts-full-addresses": stamp(13, 0x01, A, NONE),
    "ts-overflow-14": stamp(9, 0xE0, A),
    "ts-overflow-15": stamp(9, 0xF0, A),
    "ts-pointer-small": stamp(4, 0x00, NONE),
    "ts-bad-flag": stamp(5, 0x02, NONE),
    "ts-no-room": stamp(5, 0x00),
    "ts-length-three": b"\x44\x03\x05",
    "ts-twice": stamp(5, 0x00, NONE) + stamp(5, 0x00, NONE),
    "ra": option(148, b"\x00\x00"),
    "ra-value-1": option(148, b"\x00\x01"),
    "ra-long": option(148, b"\x00\x00\x00\x00"),
    "ra-short": option(148, b"\x00"),
    "ra-twice": option(148, b"\x00\x00") * 2,
    "cipso": option(134, b"\x00\x00\x00\x01", b"\x01\x04\x00\x01"),
    "security": option(130, bytes(9)),
    "stream-id": option(136, b"\x00\x07"),
    "mtu-probe": option(11, b"\x05\xdc"),
    "all-nops": b"\x01" * 40,
    "length-zero": b"\x5e\x00\x00\x00",
    "length-one": b"\x5e\x01\x00\x00",
    "length-beyond": b"\x5e\x05\x00\x00",
    "length-missing": b"\x01\x01\x01\x5e",
    "rr-nop-ts": route(7, 4, NONE) + b"\x01" + stamp(5, 0x01, NONE, NONE),
}


def make():
    known = dict(OPTIONS)
    for kind in range(2, 256):
        known.setdefault(f"kind-{kind}", option(kind, b"\x11\x22"))
    ways = {
        "through": ({"proto": 17}, UDP(sport=4000, dport=9) / b"stimulus"),
        "echo": ({"dst": ROUTER4[0], "proto": 1}, ICMP(type=8, id=7, seq=1) / b"stimulus"),
        "port": ({"dst": ROUTER4[0], "proto": 17}, UDP(sport=4000, dport=9) / b"stimulus"),
        "expired": ({"ttl": 1, "proto": 17}, UDP(sport=4000, dport=9) / b"stimulus"),
        "too-big": ({"dst": FAR4[2], "flags": 2, "proto": 17}, UDP(sport=4000, dport=9) / bytes(1400)),
        "no-route": ({"dst": NOWHERE4, "proto": 17}, UDP(sport=4000, dport=9) / b"stimulus"),
    }
    for name, options in known.items():
        padded = options + bytes(-len(options) % 4)
        # scapy would put options into a form of its own.
        for way, (fields, payload) in ways.items():
            if name.startswith("kind-") and way not in ("through", "echo", "expired"):
                continue
            header = ip4(ihl=5 + len(padded) // 4, **fields)
            send4(f"ip4/option/{name}/{way}", with_options(header, padded, raw_payload(header, payload)))


def raw_payload(header, payload):
    """The bytes of what stands behind `header`, with its checksums."""
    plain = IP(src=header.src, dst=header.dst) / payload
    return raw(plain)[20:]


def with_options(header, options, payload):
    """`header` with `options` as they are."""
    header.len = 20 + len(options) + len(payload)
    header.chksum = 0
    octets = bytearray(raw(header)[:20] + options)
    total = sum(int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    octets[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
    return Raw(bytes(octets) + payload)
