"""Sends UDP datagrams with a router alert and a number each, at a pace, from one socket: alerts.py ADDRESS PORT VALUE COUNT PER_SECOND

Prints how many were sent. The kernel puts the hop-by-hop header in. All are sent by one CPU, since the queues of a veth are by CPU: others
might overtake.
"""

import os
import socket
import struct
import sys
import time

IPV6_HOPOPTS = 54

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
address, port, value, count, rate = sys.argv[1], *map(int, sys.argv[2:])
wire = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
# Next header and length, which the kernel fills in; the option; two bytes of padding.
wire.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, struct.pack(">BBBBHBB", 0, 0, 5, 2, value, 1, 0))
wire.connect((address, port))
begin = time.monotonic()
for number in range(count):
    left = begin + number / rate - time.monotonic()
    if left > 0:
        time.sleep(left)
    wire.send(struct.pack(">Q", number))
print(count)
