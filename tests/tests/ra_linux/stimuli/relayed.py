"""Sends router alerts to two routers and prints what came out of which link of each: relayed.py SCENARIO

As the exchange of tests/differential, which it builds on: the same links, markers and form of what is printed. What relays send
on comes later than what routers do by themselves, so markers that are relayed follow, one of each family; where several relays
take the same packet, each of them has sent its own.
"""

import json
import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "..", "differential", "stimuli"))

from scapy.compat import raw
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import alerts
from exchange import MAGIC, PACE, SIDES, Exchange
from world import HOST4, HOST6, MARKER_MAC, ROUTER_MAC, STIMULI

# Beyond all numbers of stimuli.
RELAYED = 1 << 24
# For what should not come, and so has no marker behind it.
PATIENCE = 0.1


class Copies(dict):
    """How many of a marker are still to come, by side and link."""

    def discard(self, key):
        if self.get(key, 0) > 1:
            self[key] -= 1
        else:
            self.pop(key, None)


class RelayedExchange(Exchange):
    """Waits for relays as well. `relays` is how many take the same packet, by side; none where nothing is sent on."""

    def __init__(self, sides, relays):
        super().__init__(sides)
        self.relays = relays

    def run(self, number, key, link, frame):
        seen = super().run(number, key, link, frame)
        for family in (4, 6):
            tag = MAGIC + (RELAYED + 2 * number + family // 6).to_bytes(4, "big")
            waiting = Copies({(side, 1): copies for side, copies in self.relays.items()})
            if waiting:
                self.collect(key, link, [marker(family, link, tag)], waiting, seen, tag)
        if not self.relays:
            time.sleep(PATIENCE)
            self.drain_all(set(), seen, MAGIC + bytes(4))
        return seen


def marker(family, link, tag):
    """An alert that is relayed to the host of link 1, with `tag` at its end."""
    if family == 4:
        packet = alerts.with_alert4(HOST4[0], "10.1.255.254", Raw(tag), proto=alerts.PROTOCOL)
    else:
        packet = IPv6(src=HOST6[0], dst="2001:db8:b::254", hlim=9)
        packet = packet / IPv6ExtHdrHopByHop(options=[RouterAlert(value=alerts.VALUE)]) / UDP(sport=7, dport=7) / Raw(tag)
    ethertype = 0x0800 if family == 4 else 0x86DD
    return raw(Ether(src=MARKER_MAC[link], dst=ROUTER_MAC[link], type=ethertype) / packet)


def main():
    # One CPU: the kernel hands over what is sent in its order.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    scenario = sys.argv[1]
    relays = alerts.SCENARIOS[scenario]()
    exchange = RelayedExchange(SIDES, relays)
    for number, (key, link, frame) in enumerate(STIMULI):
        time.sleep(PACE)
        seen = exchange.run(number, f"{scenario}/{key}", link, frame)
        print(json.dumps({"key": f"{scenario}/{key}", "link": link, "sent": frame.hex(), "linux": seen["l"], "tollgate": seen["t"]}))


main()
