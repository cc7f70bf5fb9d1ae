"""Sends each stimulus to two routers and prints what came out of which link of each: exchange.py

Runs where the links l0 to l2 lead to one router and t0 to t2 to the other. Behind each stimulus go markers by the same link:
a packet for each link, and an ARP request, which a router answers elsewhere than it forwards. What comes before the last of
them belongs to the stimulus. One line of JSON per stimulus: its key, its link, the frame, and the frames of each router with their
links.
"""

import json
import os
import select
import socket
import struct
import sys
import time

from scapy.compat import raw
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

import icmp
import ip4
import ip4_options
import ip6
import link as link_layer
from world import LINKS, MARKER4, MARKER_MAC, ROUTER4, ROUTER_MAC, STIMULI

EVERYTHING = 3
OUTGOING = 4
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_AUXDATA = 8
# Of tp_status: a tag was taken out of the frame.
TAG_IS_VALID = 0x10
SIDES = ("l", "t")
LIMIT = 2.0
TRIES = 4
# A second for 900 of them: fewer than the ICMP errors that a router sends in that time.
PACE = 1 / 900
MAGIC = b"MARKER"
QUESTION = b"\x08\x06"


def open_link(name):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.bind((name, EVERYTHING))
    wire.setblocking(False)
    return wire


def with_tag(frame, control):
    """`frame` with the outermost tag, which the kernel has taken out."""
    for _, kind, data in control:
        if kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data)
            if status & TAG_IS_VALID:
                return frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
    return frame


def markers(link):
    """The frames that follow a stimulus, without their numbers."""
    for other in LINKS:
        packet = IP(src=MARKER4[link], dst=f"10.{other}.255.254", ttl=9, flags=2) / UDP(sport=7, dport=7, chksum=0) / (MAGIC + bytes(4))
        yield raw(Ether(src=MARKER_MAC[link], dst=ROUTER_MAC[link]) / packet)


def question(link):
    packet = ARP(op=1, hwsrc=MARKER_MAC[link], psrc=MARKER4[link], pdst=ROUTER4[link])
    return raw(Ether(src=MARKER_MAC[link], dst="ff:ff:ff:ff:ff:ff") / packet)


class Exchange:
    """Sends to the routers of `sides`, and takes what comes of it."""

    def __init__(self, sides):
        self.sides = sides
        self.wires = {(side, link): open_link(f"{side}{link}") for side in sides for link in LINKS}
        self.names = {wire.fileno(): name for name, wire in self.wires.items()}
        self.poll = select.poll()
        for wire in self.wires.values():
            self.poll.register(wire, select.POLLIN)
        self.markers = {link: list(markers(link)) for link in LINKS}
        self.questions = {link: question(link) for link in LINKS}
        # What a router asks it asks again: it counts once.
        self.asked = set()

    def send(self, link, frame):
        for side in self.sides:
            self.wires[side, link].send(frame)

    def run(self, number, key, link, frame):
        """What comes out for one stimulus, by side."""
        seen = {side: [] for side in self.sides}
        tag = MAGIC + struct.pack(">I", number)
        self.send(link, frame)
        numbered = [marker[: -len(tag)] + tag for marker in self.markers[link]]
        waiting = {(side, other) for side in self.sides for other in LINKS}
        self.collect(key, link, numbered, waiting, seen, tag)
        # The answer to this comes after that of all that went the same way before.
        self.collect(key, link, [self.questions[link]], {(side, "answer") for side in self.sides}, seen, tag)
        if key.startswith("unknown-next-hop/"):
            # What another thread asks for comes in its own time.
            time.sleep(0.05)
            self.drain_all(set(), seen, tag)
        return seen

    def collect(self, key, link, frames, waiting, seen, tag):
        """Sends markers and waits for all of them; on a machine that has no time to spare one may be lost."""
        for _ in range(TRIES):
            for frame in frames:
                self.send(link, frame)
            until = time.monotonic() + LIMIT
            while waiting:
                ready = self.poll.poll(1000 * max(0, until - time.monotonic()))
                if not ready:
                    break
                for descriptor, _ in ready:
                    self.drain(self.names[descriptor], waiting, seen, tag)
            if not waiting:
                return
        sys.exit(f"{key}: still waiting for {sorted(map(str, waiting))}; so far {seen}")

    def drain_all(self, waiting, seen, tag):
        for name in self.wires:
            self.drain(name, waiting, seen, tag)

    def drain(self, name, waiting, seen, tag):
        side, link = name
        while True:
            try:
                frame, control, _, (_, _, kind, _, _) = self.wires[name].recvmsg(65535, 64)
            except BlockingIOError:
                return
            frame = with_tag(frame, control)
            if kind == OUTGOING:
                continue
            if frame[-len(tag) :].startswith(MAGIC):
                if frame.endswith(tag):
                    waiting.discard((side, link))
            elif frame[:6] == bytes.fromhex(MARKER_MAC[link].replace(":", "")) and frame[12:14] == QUESTION:
                waiting.discard((side, "answer"))
            elif not self.is_known(side, link, frame):
                seen[side].append((link, frame.hex()))

    def is_known(self, side, link, frame):
        """Whether the router says of its own accord what this says: questions asked before, and membership of groups."""
        arp_request = frame[12:14] == QUESTION and frame[20:22] == b"\x00\x01"
        is_icmp6 = frame[12:14] == b"\x86\xdd" and frame[20:21] == b"\x3a"
        if is_icmp6 and frame[54:55] == b"\x87" or arp_request:
            wanted = (side, link, frame[38:42] if arp_request else frame[62:78])
            known = wanted in self.asked
            self.asked.add(wanted)
            return known
        # A host that does not answer is unreachable some seconds later, and a packet that is not complete expires.
        # tests/neighbors.rs and tests/fragments.rs have those.
        if frame[12:14] == b"\x08\x00" and frame[23:24] == b"\x01" and frame[34:36] in (b"\x03\x01", b"\x0b\x01"):
            return frame[26:28] == b"\xc0\xa8" and frame[29] == 1
        if is_icmp6 and frame[54:56] in (b"\x01\x03", b"\x03\x01"):
            return frame[36:38] == b"\x00\x01"
        hop_by_hop = frame[12:14] == b"\x86\xdd" and frame[20:21] == b"\x00" and frame[:2] == b"\x33\x33"
        return hop_by_hop and frame[21] == 1 and frame[22:24] in (b"\xfe\x80", b"\x00\x00")


def main():
    # One CPU: the kernel hands over what is sent in its order.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for part in (ip4, ip4_options, icmp, ip6, link_layer):
        part.make()
    link_layer.unknown_next_hops()
    keys = [key for key, _, _ in STIMULI]
    doubled = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else ()
    if doubled:
        sys.exit(f"keys that are not unique: {sorted(doubled)[:9]}")
    only = sys.argv[1:]
    wanted = [(key, link, frame) for key, link, frame in STIMULI if not only or any(key.startswith(prefix) for prefix in only)]
    for key, link, frame, seen in exchanged(SIDES, wanted):
        print(json.dumps({"key": key, "link": link, "sent": frame.hex(), "linux": seen["l"], "tollgate": seen["t"]}))


def exchanged(sides, stimuli):
    """Each stimulus with what came out for it."""
    exchange = Exchange(sides)
    next_at = time.monotonic()
    for number, (key, link, frame) in enumerate(stimuli):
        # A machine that was kept busy does not make up for it: the limits of a router have their own memory.
        time.sleep(max(0.0, next_at - time.monotonic()))
        next_at = time.monotonic() + PACE
        yield key, link, frame, exchange.run(number, key, link, frame)


if __name__ == "__main__":
    main()
