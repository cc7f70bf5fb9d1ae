"""Every type and code of ICMP and ICMPv6: through the router, to it, and expiring in it."""

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6Unknown, IPv6
from scapy.packet import Raw

from world import *

# Types that somebody has defined; the others are sent with code 0 alone.
DEFINED4 = [0, 3, 4, 5, 6, *range(8, 19), *range(30, 44), 253, 254]
DEFINED6 = [1, 2, 3, 4, 100, 101, 127, *range(128, 162), 200, 201, 255]
CODES = range(17)


def quote4(link=0):
    return raw(IP(src=ROUTER4[0], dst=HOST4[0], id=7) / UDP(sport=9, dport=4000) / b"quoted")


def quote6():
    return raw(IPv6(src=ROUTER6[0], dst=HOST6[0]) / UDP(sport=9, dport=4000) / b"quoted")


def message4(icmp_type, code):
    """A message with a valid checksum; behind the header is what an error would quote."""
    body = bytearray([icmp_type, code, 0, 0, 0, 7, 0, 1]) + quote4()
    total = sum(int.from_bytes(body[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(body), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body[2:4] = (total ^ 0xFFFF).to_bytes(2, "big")
    return Raw(bytes(body))


def message6(icmp_type, code, body=None):
    return ICMPv6Unknown(type=icmp_type, code=code, msgbody=b"\0\x07\0\x01" + quote6() if body is None else body)


def make4():
    for icmp_type in range(256):
        codes = CODES if icmp_type in DEFINED4 else (0,)
        for code in codes:
            name = f"icmp/type/{icmp_type}/code/{code}"
            for way in ("through", "local") if code else ("through", "local", "expired", "no-route"):
                send4(f"{name}/{way}", ip4(proto=1, **WAYS4[way]) / message4(icmp_type, code))
        for way, destination in (("broadcast", "255.255.255.255"), ("subnet-broadcast", "192.168.1.255"), ("all-hosts", "224.0.0.1")):
            if icmp_type in DEFINED4:
                packet = ip4(proto=1, dst=destination) / message4(icmp_type, 0)
                stimulus(f"icmp/type/{icmp_type}/{way}", ether(type=0x0800, dst=group_mac(destination)) / packet)
    for size in range(12):
        cut = raw(message4(8, 0))[:size]
        send4(f"icmp/cut/{size}/local", ip4(proto=1, dst=ROUTER4[0]) / Raw(cut))
        send4(f"icmp/cut/{size}/expired", ip4(proto=1, ttl=1) / Raw(cut))
    for size in (0, 1, 2, 55, 56, 1471, 1472):
        send4(f"icmp/echo/{size}", ip4(dst=ROUTER4[0]) / ICMP(type=8, id=7, seq=1) / bytes(size))
    # An error about an error, hidden in a later fragment, or in an echo request's data.
    send4("icmp/error-in-fragment", ip4(proto=1, ttl=1, frag=2) / message4(3, 1))
    send4("icmp/error-first-fragment", ip4(proto=1, ttl=1, flags=1) / message4(3, 1))


def group_mac(address):
    """The MAC address that a multicast or broadcast packet has."""
    octets = [int(part) for part in address.split(".")]
    if octets[3] == 255:
        return "ff:ff:ff:ff:ff:ff"
    return "01:00:5e:%02x:%02x:%02x" % (octets[1] & 0x7F, octets[2], octets[3])


def make6():
    for icmp_type in range(256):
        for code in CODES if icmp_type in DEFINED6 else (0,):
            name = f"icmp6/type/{icmp_type}/code/{code}"
            for way in ("through", "local") if code else ("through", "local", "expired", "no-route"):
                send6(f"{name}/{way}", ip6(**WAYS6[way]) / message6(icmp_type, code))
        if icmp_type in DEFINED6:
            for way, group in (("all-nodes", "ff02::1"), ("all-routers", "ff02::2"), ("global-group", "ff0e::1234")):
                mac = "33:33:00:00:%s" % ("12:34" if way == "global-group" else "00:0" + group[-1])
                packet = ip6(dst=group, nh=58) / message6(icmp_type, 0)
                stimulus(f"icmp6/type/{icmp_type}/{way}", ether(type=0x86DD, dst=mac) / packet)
            for hop_limit in (1, 255):
                send6(f"icmp6/type/{icmp_type}/hop-limit-{hop_limit}/local", ip6(hlim=hop_limit, dst=ROUTER6[0]) / message6(icmp_type, 0))
    whole = raw(ip6(dst=ROUTER6[0]) / message6(128, 0))[40:]
    for size in range(12):
        send6(f"icmp6/cut/{size}/local", ip6(nh=58, dst=ROUTER6[0]) / Raw(whole[:size]))
        send6(f"icmp6/cut/{size}/expired", ip6(nh=58, hlim=1) / Raw(whole[:size]))
    for checksum in (0, 1, 0x1234, 0xFFFF):
        for way in ("local", "through"):
            message = ICMPv6Unknown(type=128, code=0, cksum=checksum, msgbody=b"\0\x07\0\x01stimulus")
            send6(f"icmp6/checksum/{checksum:#06x}/{way}", ip6(**WAYS6[way]) / message)
    for size in (0, 1, 2, 55, 56, 1451, 1452):
        send6(f"icmp6/echo/{size}", ip6(dst=ROUTER6[0]) / message6(128, 0, bytes(4 + size)))


def make():
    make4()
    make6()
