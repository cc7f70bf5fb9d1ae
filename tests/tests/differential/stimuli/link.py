"""The link: whose frame it is, what it carries, tags; ARP and neighbour discovery."""

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Dot1AD, Dot3, Ether, LLC, SNAP
from scapy.packet import Raw

from world import *

EVERYBODY = "ff:ff:ff:ff:ff:ff"
MACS = {
    "other-host": "02:00:00:00:09:09",
    "other-port": ROUTER_MAC[1],
    "zero": "00:00:00:00:00:00",
    "broadcast": EVERYBODY,
    "all-hosts": "01:00:5e:00:00:01",
    "all-nodes": "33:33:00:00:00:01",
    "bridge": "01:80:c2:00:00:00",
    "lldp": "01:80:c2:00:00:0e",
    "any-group": "03:00:00:00:00:01",
}


def packets():
    """One of each family that is forwarded, answered, and expires."""
    for way in ("through", "local", "expired"):
        yield f"ip4-{way}", 0x0800, ip4(**WAYS4[way]) / ICMP(type=8, id=7, seq=1) / b"stimulus"
        yield f"ip6-{way}", 0x86DD, ip6(**WAYS6[way]) / ICMPv6EchoRequest(id=7, seq=1, data=b"stimulus")


def addresses():
    for what, ethertype, packet in packets():
        for name, mac in MACS.items():
            stimulus(f"ethernet/to/{name}/{what}", ether(dst=mac, type=ethertype) / packet)
        for name, mac in {**MACS, "router-itself": ROUTER_MAC[0]}.items():
            stimulus(f"ethernet/from/{name}/{what}", ether(src=mac, type=ethertype) / packet)


def ethertypes():
    body = raw(ip4() / UDP(sport=4000, dport=9) / b"stimulus")
    for ethertype in (0x0000, 0x0600, 0x0801, 0x0805, 0x22F3, 0x8035, 0x8137, 0x8847, 0x8848, 0x8863, 0x8864, 0x888E, 0x88B5, 0x88CC, 0x88F7, 0x8906, 0x9000, 0xFFFF):
        stimulus(f"ethernet/type/{ethertype:#06x}", ether(type=ethertype) / Raw(body))
    for length in (1, 3, 40, 46, 1500, 1501, 1535):
        stimulus(f"ethernet/length/{length}", ether(type=length) / Raw(body))
    for name, payload in {
        "llc": LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(body),
        "llc-ip": LLC(dsap=6, ssap=6, ctrl=3) / Raw(body),
        "snap-ip": LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / Raw(body),
        "snap-ip6": LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x86DD) / (ip6() / UDP(dport=9)),
        "ipx-raw": Raw(b"\xff\xff" + body),
    }.items():
        stimulus(f"ethernet/802.3/{name}", Dot3(src=HOST_MAC[0], dst=ROUTER_MAC[0]) / payload)
    # The other family's EtherType.
    stimulus("ethernet/type/ip6-in-ip4", ether(type=0x0800) / raw(ip6() / UDP(dport=9)))
    stimulus("ethernet/type/ip4-in-ip6", ether(type=0x86DD) / Raw(body))


def tags():
    """VLAN 0 is no VLAN; there is no other here."""
    for what, ethertype, packet in packets():
        for vid in (0, 1, 100, 4095):
            for priority in (0, 5):
                stimulus(f"vlan/802.1q/{vid}/priority-{priority}/{what}", ether(type=0x8100) / Dot1Q(vlan=vid, prio=priority, type=ethertype) / packet)
        stimulus(f"vlan/802.1ad/0/{what}", ether(type=0x88A8) / Dot1AD(vlan=0, type=ethertype) / packet)
        stimulus(f"vlan/802.1ad/100/{what}", ether(type=0x88A8) / Dot1AD(vlan=100, type=ethertype) / packet)
        stimulus(f"vlan/two/0-0/{what}", ether(type=0x88A8) / Dot1AD(vlan=0, type=0x8100) / Dot1Q(vlan=0, type=ethertype) / packet)
        stimulus(f"vlan/two/0-100/{what}", ether(type=0x88A8) / Dot1AD(vlan=0, type=0x8100) / Dot1Q(vlan=100, type=ethertype) / packet)
        stimulus(f"vlan/two/100-200/{what}", ether(type=0x88A8) / Dot1AD(vlan=100, type=0x8100) / Dot1Q(vlan=200, type=ethertype) / packet)
    for size in (0, 1, 2, 3):
        stimulus(f"vlan/cut/{size}", ether(type=0x8100) / Raw(bytes(size)))
    question = ARP(op=1, hwsrc=HOST_MAC[0], psrc=HOST4[0], pdst=ROUTER4[0])
    stimulus("vlan/802.1q/0/arp", ether(dst=EVERYBODY, type=0x8100) / Dot1Q(vlan=0, type=0x0806) / question)
    stimulus("vlan/802.1q/100/arp", ether(dst=EVERYBODY, type=0x8100) / Dot1Q(vlan=100, type=0x0806) / question)


def arp():
    def ask(key, to=EVERYBODY, **fields):
        packet = ARP(**{"op": 1, "hwsrc": HOST_MAC[0], "psrc": HOST4[0], "pdst": ROUTER4[0], **fields})
        stimulus(f"arp/{key}", ether(dst=to, type=0x0806) / packet)

    for where, to in (("broadcast", EVERYBODY), ("unicast", ROUTER_MAC[0]), ("other-host", MACS["other-host"])):
        ask(f"request/own/{where}", to)
        ask(f"request/other-link/{where}", to, pdst=ROUTER4[1])
        ask(f"request/host/{where}", to, pdst=HOST4[0])
        ask(f"request/nobody/{where}", to, pdst="192.168.1.77")
        ask(f"request/far/{where}", to, pdst=FAR4[1])
    ask("probe/own", psrc="0.0.0.0")
    ask("probe/nobody", psrc="0.0.0.0", pdst="192.168.1.77")
    ask("gratuitous/host", pdst=HOST4[0])
    ask("gratuitous/host-reply", op=2, pdst=HOST4[0])
    for op in (0, 2, 3, 4, 8, 9, 0xFFFF):
        ask(f"operation/{op}", op=op)
    ask("malformed/hardware-type", hwtype=6)
    ask("malformed/protocol-type", ptype=0x86DD)
    ask("malformed/hardware-length", hwlen=5)
    ask("malformed/protocol-length", plen=6)
    for name, target in {"loopback": "127.0.0.1", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "any": "0.0.0.0", "subnet": "192.168.1.255"}.items():
        ask(f"request/{name}", pdst=target)
    for name, source in {"loopback": "127.0.0.1", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "subnet": "192.168.1.255", "foreign": "172.16.0.9"}.items():
        ask(f"sender/{name}", psrc=source)
    ask("sender/hardware-other", hwsrc=MACS["other-host"])
    ask("sender/hardware-group", hwsrc=MACS["any-group"])
    whole = raw(ARP(op=1, hwsrc=HOST_MAC[0], psrc=HOST4[0], pdst=ROUTER4[0]))
    for size in (0, 8, 27):
        stimulus(f"arp/cut/{size}", ether(dst=EVERYBODY, type=0x0806) / Raw(whole[:size]))
    stimulus("arp/padded", ether(dst=EVERYBODY, type=0x0806) / Raw(whole + bytes(18)))


def neighbour_discovery():
    source = ICMPv6NDOptSrcLLAddr(lladdr=HOST_MAC[0])

    def ask(key, target, to, mac, src=HOST6[0], options=source, **fields):
        hop_limit = fields.pop("hlim", 255)
        packet = IPv6(src=src, dst=to, hlim=hop_limit) / ICMPv6ND_NS(tgt=target, **fields)
        stimulus(f"nd/solicitation/{key}", ether(dst=mac, type=0x86DD) / (packet / options if options else packet))

    group, group_mac = "ff02::1:ff00:1", "33:33:ff:00:00:01"
    mine, mine_link = ROUTER6[0], ROUTER6_LINK[0]
    link_group, link_mac = "ff02::1:ff00:100", "33:33:ff:00:01:00"
    for name, src in (("global", HOST6[0]), ("link-local", HOST6_LINK[0])):
        ask(f"multicast/from-{name}", mine, group, group_mac, src)
        ask(f"unicast/from-{name}", mine, mine, ROUTER_MAC[0], src)
        ask(f"link-local/multicast/from-{name}", mine_link, link_group, link_mac, src)
        ask(f"link-local/unicast/from-{name}", mine_link, mine_link, ROUTER_MAC[0], src)
        ask(f"no-option/unicast/from-{name}", mine, mine, ROUTER_MAC[0], src, None)
        ask(f"no-option/multicast/from-{name}", mine, group, group_mac, src, None)
        ask(f"all-nodes/from-{name}", mine, "ff02::1", "33:33:00:00:00:01", src)
    ask("duplicate/mine", mine, group, group_mac, "::", None)
    ask("duplicate/mine-link-local", mine_link, link_group, link_mac, "::", None)
    ask("duplicate/with-option", mine, group, group_mac, "::")
    ask("duplicate/unicast", mine, mine, ROUTER_MAC[0], "::", None)
    ask("duplicate/other", "2001:db8:1::99", "ff02::1:ff00:99", "33:33:ff:00:00:99", "::", None)
    ask("target/other-link", ROUTER6[1], group, group_mac)
    ask("target/nobody", "2001:db8:1::99", "ff02::1:ff00:99", "33:33:ff:00:00:99")
    ask("target/host", HOST6[0], "ff02::1:ff00:2", "33:33:ff:00:00:02")
    ask("target/multicast", "ff02::1", group, group_mac)
    ask("target/any", "::", group, group_mac)
    for limit in (0, 1, 64, 254):
        ask(f"hop-limit/{limit}", mine, group, group_mac, hlim=limit)
    ask("code/1", mine, group, group_mac, code=1)
    ask("checksum", mine, group, group_mac, cksum=0x1234)
    ask("reserved", mine, group, group_mac, res=0xFFFFFFFF)
    ask("option/length-zero", mine, group, group_mac, options=ICMPv6NDOptUnknown(type=1, len=0, data=bytes(6)))
    ask("option/unknown", mine, group, group_mac, options=ICMPv6NDOptUnknown(type=99, data=bytes(6)) / source)
    ask("option/nonce", mine, group, group_mac, options=ICMPv6NDOptUnknown(type=14, data=bytes(range(6))) / source)
    ask("option/overruns", mine, group, group_mac, options=ICMPv6NDOptUnknown(type=99, len=4, data=bytes(6)))
    for size in (0, 4, 8, 20, 23):
        whole = raw(IPv6(src=HOST6[0], dst=group, hlim=255) / ICMPv6ND_NS(tgt=mine))[40:]
        packet = IPv6(src=HOST6[0], dst=group, hlim=255, nh=58) / Raw(whole[:size])
        stimulus(f"nd/solicitation/cut/{size}", ether(dst=group_mac, type=0x86DD) / packet)
    for name, packet in {
        "advertisement/unasked": ICMPv6ND_NA(tgt=HOST6[0], R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=HOST_MAC[0]),
        "advertisement/solicited-to-group": ICMPv6ND_NA(tgt=HOST6[0], R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=HOST_MAC[0]),
        "router-solicitation/plain": ICMPv6ND_RS() / source,
        "router-advertisement/plain": ICMPv6ND_RA() / source,
    }.items():
        for where, to, mac in (("all-nodes", "ff02::1", "33:33:00:00:00:01"), ("all-routers", "ff02::2", "33:33:00:00:00:02"), ("unicast", mine, ROUTER_MAC[0])):
            for src in (HOST6[0], HOST6_LINK[0]):
                origin = "link-local" if src.startswith("fe80") else "global"
                stimulus(f"nd/{name}/{where}/from-{origin}", ether(dst=mac, type=0x86DD) / (IPv6(src=src, dst=to, hlim=255) / packet))


def unknown_next_hops():
    """Last: the router asks for them again and again."""
    for last in (77, 78):
        send4(f"unknown-next-hop/ip4/{last}", ip4(dst=f"192.168.2.{last}") / UDP(dport=9))
        send4(f"unknown-next-hop/ip4/{last}/expired", ip4(ttl=1, dst=f"192.168.2.{last}") / UDP(dport=9))
        send6(f"unknown-next-hop/ip6/{last}", ip6(dst=f"2001:db8:2::{last}") / UDP(dport=9))
        send6(f"unknown-next-hop/ip6/{last}/expired", ip6(hlim=1, dst=f"2001:db8:2::{last}") / UDP(dport=9))


def make():
    for part in (addresses, ethertypes, tags, arp, neighbour_discovery):
        part()
