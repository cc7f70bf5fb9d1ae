"""The world that the stimuli are sent in: addresses, MAC addresses, and how a frame is made.

    link 0: 192.168.1.0/24 2001:db8:1::/64   behind its host: 10.0.0.0/16 2001:db8:a::/48
    link 1: 192.168.2.0/24 2001:db8:2::/64   behind its host: 10.1.0.0/16 2001:db8:b::/48
    link 2: 192.168.3.0/24 2001:db8:3::/64   behind its host: 10.2.0.0/16 2001:db8:c::/48, MTU 1400

The router is .1 and ::1 on each link, its host .2 and ::2. topology.rs sets it up.
"""

from scapy.compat import raw
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

LINKS = range(3)
ROUTER_MAC = [f"02:00:00:00:01:0{link}" for link in LINKS]
HOST_MAC = [f"02:00:00:00:02:0{link}" for link in LINKS]
# Sends the markers, and nothing else.
MARKER_MAC = [f"02:00:00:00:03:0{link}" for link in LINKS]

ROUTER4 = [f"192.168.{link + 1}.1" for link in LINKS]
HOST4 = [f"192.168.{link + 1}.2" for link in LINKS]
MARKER4 = [f"192.168.{link + 1}.9" for link in LINKS]
FAR4 = [f"10.{link}.0.7" for link in LINKS]
NOWHERE4 = "203.0.113.9"
UNREACHABLE4 = (NOWHERE4, "0.1.2.3", "169.254.1.1", "240.0.0.1", "255.255.255.254")
BLACKHOLE4 = "10.66.0.7"

ROUTER6 = [f"2001:db8:{link + 1}::1" for link in LINKS]
HOST6 = [f"2001:db8:{link + 1}::2" for link in LINKS]
ROUTER6_LINK = [f"fe80::ff:fe00:10{link}" for link in LINKS]
HOST6_LINK = [f"fe80::ff:fe00:20{link}" for link in LINKS]
FAR6 = [f"2001:db8:{letter}::7" for letter in "abc"]
NOWHERE6 = "2001:db8:ffff::9"
BLACKHOLE6 = "2001:db8:66::7"

STIMULI = []


def stimulus(key, frame, link=0):
    """One more frame to send into `link`."""
    STIMULI.append((key, link, raw(frame)))


def ether(link=0, **fields):
    """The link header of a frame from the host to the router."""
    return Ether(**{"src": HOST_MAC[link], "dst": ROUTER_MAC[link], **fields})


def ip4(src=None, dst=FAR4[1], **fields):
    """An IPv4 header, by default of a packet that is forwarded."""
    if src is None:
        # Linux tells a host of an unreachable network five times, then once a second, whatever its limits are.
        src = f"10.0.{len(STIMULI) >> 8}.{len(STIMULI) & 0xFF}" if dst in UNREACHABLE4 else HOST4[0]
    return IP(src=src, dst=dst, **{"id": 0x1234, "ttl": 9, **fields})


def ip6(src=HOST6[0], dst=FAR6[1], **fields):
    """An IPv6 header, by default of a packet that is forwarded."""
    return IPv6(src=src, dst=dst, **{"hlim": 9, **fields})


def send4(key, packet, link=0):
    """An IPv4 packet from the host to the router."""
    stimulus(key, ether(link, type=0x0800) / Raw(raw(packet)), link)


def send6(key, packet, link=0):
    """An IPv6 packet from the host to the router."""
    stimulus(key, ether(link, type=0x86DD) / Raw(raw(packet)), link)


# What a packet meets, by name: fields of the IP header.
WAYS4 = {
    "through": {"dst": FAR4[1]},
    "on-link": {"dst": HOST4[1]},
    "local": {"dst": ROUTER4[0]},
    "other-local": {"dst": ROUTER4[1]},
    "expired": {"dst": FAR4[1], "ttl": 1},
    "no-route": {"dst": NOWHERE4},
    "blackhole": {"dst": BLACKHOLE4},
}
WAYS6 = {
    "through": {"dst": FAR6[1]},
    "on-link": {"dst": HOST6[1]},
    "local": {"dst": ROUTER6[0]},
    "other-local": {"dst": ROUTER6[1]},
    "expired": {"dst": FAR6[1], "hlim": 1},
    "no-route": {"dst": NOWHERE6},
    "blackhole": {"dst": BLACKHOLE6},
}
