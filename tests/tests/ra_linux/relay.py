"""A relay of Linux: takes router alerts by raw sockets, counts their hop limits down and sends them on: relay.py [--swallow] [--shared] SOCKET...

A SOCKET is v6=VALUE (RFC 2711) or v4=PROTOCOL, whose alerts have the value 0 (RFC 2113). Says `ready` on stderr, and prints each packet as it
was received, as hex on a line of its own. With --swallow nothing is sent on; with --shared the sockets take the alerts of other network
namespaces too, as they do unless they are told otherwise.

It is the program that people write first, on purpose: a byte is counted down, whatever it was.
"""

import select
import socket
import sys

IP_ROUTER_ALERT = 5
IPV6_ROUTER_ALERT = 22
IPV6_ROUTER_ALERT_ISOLATE = 30
HOP_LIMIT = {socket.AF_INET: 8, socket.AF_INET6: 7}
DESTINATION = {socket.AF_INET: slice(16, 20), socket.AF_INET6: slice(24, 40)}


def opened(family, number, shared):
    """A socket that is given what is selected by `number`."""
    if family == "v4":
        taker = socket.socket(socket.AF_INET, socket.SOCK_RAW, number)
        taker.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        taker.setsockopt(socket.IPPROTO_IP, IP_ROUTER_ALERT, 1)
        return taker
    taker = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    if not shared:
        taker.setsockopt(socket.IPPROTO_IPV6, IPV6_ROUTER_ALERT_ISOLATE, 1)
    taker.setsockopt(socket.IPPROTO_IPV6, IPV6_ROUTER_ALERT, number)
    return taker


def relay(taker, swallow):
    packet = bytearray(taker.recv(65535))
    print(packet.hex(), flush=True)
    packet[HOP_LIMIT[taker.family]] = (packet[HOP_LIMIT[taker.family]] - 1) % 256
    to = socket.inet_ntop(taker.family, bytes(packet[DESTINATION[taker.family]]))
    if not swallow:
        taker.sendto(packet, (to, 0))


def main():
    words = sys.argv[1:]
    flags = {word for word in words if word.startswith("--")}
    named = [word.split("=") for word in words if word not in flags]
    takers = [opened(family, int(number), "--shared" in flags) for family, number in named]
    poll = select.poll()
    for taker in takers:
        poll.register(taker, select.POLLIN)
    by_number = {taker.fileno(): taker for taker in takers}
    print("ready", file=sys.stderr, flush=True)
    while True:
        for number, _ in poll.poll():
            relay(by_number[number], "--swallow" in flags)


main()
