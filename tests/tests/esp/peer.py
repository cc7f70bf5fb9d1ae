"""The other end of protected tunnels, by scapy's IPsec layer: peer.py LINK GATEWAY_MAC OWN_MAC

Reads cases as JSON, one a line. An "exchange" seals echo requests that the gateway itself answers, of several lengths, and
opens what comes back; the answers have to be what was asked for, byte for byte, and in headers with the TTL and traffic class
of its "outer" where it has one. Numbers begin behind "last", for both. With "inside" of "gre" (and a "gre_key") or "ipip" the SA is of transport mode. A "send" sends what
its expressions make, in which `seal(inner, ...)` seals by the case's SA. For "keepalives" some have to come. "carries" sends packets in
clear that the gateway seals, "opens" sealed ones that it forwards; both look at what became of headers. Prints a line for each case that
went well, and ends at the first that did not.
"""

import copy
import json
import socket
import struct
import sys
import time

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.packet import Raw

CIPHERS = {"gcm16": "AES-GCM", "chacha": "CHACHA20-POLY1305", "null": "NULL", "aes": "AES-CBC"}
HASHES = {"sha256": ("SHA2-256-128", 32), "sha384": ("SHA2-384-192", 48), "sha512": ("SHA2-512-256", 64)}
LENGTHS = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 17, 31, 32, 100, 1000, 1300]

to_gateway = Ether(dst=sys.argv[2], src=sys.argv[3])


def security_association(case, spi, source, destination):
    name, key = case["transform"], bytes.fromhex(case["key"])
    if "gcm16" in name:
        cipher, hashed = "AES-GCM", (None, 0)
    elif name.startswith("chacha"):
        cipher, hashed = "CHACHA20-POLY1305", (None, 0)
    else:
        cipher = CIPHERS[name[:4] if name.startswith("null") else "aes"]
        hashed = HASHES[name.split("-")[1]]
    auth, auth_len = hashed
    header = (IPv6 if ":" in source else IP)(src=source, dst=destination)
    association = SecurityAssociation(
        ESP,
        spi=spi,
        crypt_algo=cipher,
        crypt_key=key[: len(key) - auth_len],
        auth_algo=auth,
        auth_key=key[len(key) - auth_len :] if auth else None,
        tunnel_header=None if "inside" in case else header,
        nat_t_header=UDP(sport=4500, dport=4500) if case["udp"] else None,
        esn_en=case["esn"],
    )
    if case["esn"] and auth:
        authenticate_high_half(association)
    return association


def authenticate_high_half(association):
    """Of numbers of 64 bits the high half is authenticated behind the packet, RFC 4303 section 2.2.1: this scapy leaves it out."""
    algorithm = association.auth_algo = copy.copy(association.auth_algo)

    def icv(data, key):
        mac = algorithm.new_mac(key)
        mac.update(data + struct.pack("!L", association.esn))
        return mac.finalize()[: algorithm.icv_size]

    def sign(packet, key):
        packet[ESP].data += icv(raw(packet[ESP]), key)
        return packet

    def verify(packet, key):
        data, found = raw(packet)[: -algorithm.icv_size], raw(packet)[-algorithm.icv_size :]
        if icv(data, key) != found:
            raise SystemExit(f"the ICV with the high half {association.esn} is another one: {packet!r}")

    algorithm.sign, algorithm.verify = sign, verify


def wrapped(case, packet):
    """As the SA takes it: in transport mode in an outer packet of the tunnel."""
    if "inside" not in case:
        return packet.__class__(raw(packet))
    outer = (IPv6 if ":" in case["peer"] else IP)(src=case["peer"], dst=case["gateway"])
    if case["inside"] == "gre":
        key = case.get("gre_key")
        outer /= GRE(key_present=1, key=key) if key is not None else GRE()
    whole = outer / packet
    return whole.__class__(raw(whole))


def unwrapped(case, packet):
    """What is inside of what was opened."""
    if "inside" not in case:
        return packet
    if (packet.src, packet.dst) != (case["gateway"], case["peer"]):
        raise SystemExit(f"{case}: other ends: {packet!r}")
    four = IP in packet and packet.version == 4
    rest = raw(packet)[20 if four else 40 :]
    if case["inside"] == "gre":
        gre = GRE(rest)
        if (gre.key if gre.key_present else None) != case.get("gre_key"):
            raise SystemExit(f"{case}: no GRE of this key: {packet!r}")
        rest = raw(gre.payload)
    expected = [47] if case["inside"] == "gre" else [4, 41]
    if (packet.proto if four else packet.nh) not in expected:
        raise SystemExit(f"{case}: another protocol: {packet!r}")
    return (IPv6 if rest[0] >> 4 == 6 else IP)(rest)


def with_length(packet):
    """With the length of a datagram over IPv4: this scapy has that of its header there."""
    if UDP in packet:
        del packet[UDP].len
    return packet


def without_udp(packet):
    """ESP right behind the header: over IPv6 this scapy would leave that of UDP where it is."""
    if UDP in packet and IPv6 in packet:
        return IPv6(src=packet.src, dst=packet.dst, nh=socket.IPPROTO_ESP) / ESP(raw(packet[UDP].payload))
    return packet


def send(packet):
    link.send(raw(to_gateway / packet))


def answer(spi):
    """The next packet of the SA that comes from the gateway."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            frame = link.recv(4096)
        except TimeoutError:
            continue
        packet = Ether(frame).payload
        if ESP in packet and packet[ESP].spi == spi:
            # Padding of the link goes.
            return packet.__class__(raw(packet)[: packet.len if IP in packet else 40 + packet.plen])
    raise SystemExit(f"no answer by SPI {spi:#x}")


def exchange(case):
    ours = security_association(case, case["spi"], case["peer"], case["gateway"])
    theirs = security_association(case, case["spi"] + 1, case["gateway"], case["peer"])
    sequence = case.get("last", 0)
    for source, target in case["inner"]:
        for length in LENGTHS:
            data = bytes(number * 7 & 0xFF for number in range(length))
            if ":" in source:
                ask = IPv6(src=source, dst=target) / ICMPv6EchoRequest(id=7, seq=length, data=data)
            else:
                ask = IP(src=source, dst=target, id=length) / ICMP(id=7, seq=length) / Raw(data)
            sequence += 1
            # Both begin with the same number.
            ours.esn, ours.seq_num = theirs.esn, _ = sequence >> 32, sequence & 0xFFFFFFFF
            sealed = with_length(ours.encrypt(wrapped(case, ask)))
            if case["udp"] and IPv6 in sealed:
                # Over IPv6 there must be one, and this scapy writes none: RFC 8200 section 8.1.
                del sealed[UDP].chksum
            send(sealed)
            got = answer(case["spi"] + 1)
            if got[ESP].seq != sequence & 0xFFFFFFFF:
                raise SystemExit(f"{case}: number {got[ESP].seq} in place of {sequence}")
            if (UDP in got) != case["udp"]:
                raise SystemExit(f"{case}: UDP is not as it should be: {got!r}")
            outer = [got.hlim, got.tc] if got.version == 6 else [got.ttl, got.tos]
            if outer != case.get("outer", outer):
                raise SystemExit(f"{case}: TTL and traffic class are {outer}")
            opened = unwrapped(case, theirs.decrypt(without_udp(got)))
            echo = opened[ICMPv6EchoReply] if ":" in source else opened[ICMP]
            kind = echo.type == (129 if ":" in source else 0)
            back = echo.data if ":" in source else raw(echo.payload)
            if not kind or (opened.src, opened.dst) != (target, source) or bytes(back) != data:
                raise SystemExit(f"{case}: {length}: another answer: {opened!r}")


def send_all(case):
    association = security_association(case, case["spi"], case["peer"], case["gateway"])

    def seal(inner, sequence=None, source=None, spi=None, flip=None, cut=None, sport=None, **other):
        """Sealed, then made wrong."""
        packet = raw(with_length(association.encrypt(wrapped(case | other, inner), seq_num=sequence)))
        packet = IP(packet)
        if source is not None:
            packet.src = source
        if sport is not None:
            packet[UDP].sport = sport
        if spi is not None:
            packet[ESP].spi = spi
        if flip is not None:
            data = bytearray(packet[ESP].data)
            data[flip] ^= 1
            packet[ESP].data = bytes(data)
        if cut is not None:
            packet[ESP].data = packet[ESP].data[:cut]
        del packet.len, packet.chksum
        return packet

    def fragments6(packet, identification):
        """What RFC 8200 section 4.5 makes of a packet of IPv6 without extension headers."""
        data = raw(packet)[40:]
        return [
            IPv6(src=packet.src, dst=packet.dst)
            / IPv6ExtHdrFragment(nh=packet.nh, id=identification, offset=at // 8, m=at + 1400 < len(data))
            / Raw(data[at : at + 1400])
            for at in range(0, len(data), 1400)
        ]

    for expression in case["packets"]:
        made = eval(expression, dict(globals(), seal=seal, association=association, fragments6=fragments6))
        for packet in made if isinstance(made, list) else [made]:
            send(packet)


def classed(packet, traffic_class):
    """The same with this traffic class: DSCP and ECN."""
    setattr(packet, "tc" if packet.version == 6 else "tos", traffic_class)
    if packet.version == 4:
        del packet.chksum
    return packet.__class__(raw(packet))


def forwarded(packet):
    """The same a hop later."""
    packet = packet.__class__(raw(packet))
    if packet.version == 6:
        packet.hlim -= 1
    else:
        packet.ttl -= 1
        del packet.chksum
    return packet.__class__(raw(packet))


def carries(case):
    """Packets for the tunnel, each with the traffic class that is due around it, and the flags of IPv4 or nothing."""
    theirs = security_association(case, case["spi"], case["gateway"], case["peer"])
    for made, *due in case["packets"]:
        packet = eval(made)
        send(packet)
        got = answer(case["spi"])
        found = [got.tc, None] if got.version == 6 else [got.tos, str(got.flags)]
        if found != due:
            raise SystemExit(f"{case}: {made}: class and flags are {found} in place of {due}")
        inside = unwrapped(case, theirs.decrypt(got))
        if raw(inside) != raw(forwarded(packet)):
            raise SystemExit(f"{case}: {made}: inside is {inside!r}")


def opens(case):
    """Packets in the tunnel, each with the traffic class around it, and that of what is due outside or nothing."""
    ours = security_association(case, case["spi"], case["peer"], case["gateway"])
    for made, around, due in case["packets"]:
        packet = eval(made)
        send(classed(with_length(ours.encrypt(wrapped(case, packet))), around))
        if due is None:
            continue
        expected = raw(forwarded(classed(packet.copy(), due)))
        until = time.monotonic() + 10
        while True:
            if time.monotonic() > until:
                raise SystemExit(f"{case}: {made} in {around} does not come out with {due}")
            try:
                if raw(Ether(link.recv(4096)).payload)[: len(expected)] == expected:
                    break
            except TimeoutError:
                continue


def keepalives(case):
    """Some NAT keepalives, a second from each other."""
    at = []
    until = time.monotonic() + 8
    while len(at) < 3:
        if time.monotonic() > until:
            raise SystemExit(f"{case}: {len(at)} keepalives")
        try:
            packet = Ether(link.recv(4096)).payload
        except TimeoutError:
            continue
        if UDP not in packet or (packet[UDP].sport, packet[UDP].dport) != tuple(case["ports"]):
            continue
        packet = packet.__class__(raw(packet)[: packet.len if IP in packet else 40 + packet.plen])
        if (packet.src, packet.dst) != (case["gateway"], case["peer"]) or raw(packet)[-1:] != b"\xff" or packet[UDP].len != 9:
            raise SystemExit(f"{case}: no keepalive: {packet!r}")
        again = packet.__class__(raw(packet))
        del again[UDP].chksum
        expected = 0 if IP in packet else again.__class__(raw(again))[UDP].chksum
        if packet[UDP].chksum != expected:
            raise SystemExit(f"{case}: the checksum is wrong: {packet!r}")
        at.append(time.monotonic())
    # Two seconds from the first to the third: on a busy machine one may be late, and the next is a second after it was due.
    if not 1.2 < at[2] - at[0] < 4:
        raise SystemExit(f"{case}: not a second from each other: {at}")


DOES = {"exchange": exchange, "send": send_all, "keepalives": keepalives, "carries": carries, "opens": opens}

for line in sys.stdin:
    case = json.loads(line)
    # What came before a case is none of its.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as link:
        link.bind((sys.argv[1], 0))
        link.settimeout(0.2)
        DOES[case["do"]](case)
    print("done", flush=True)
