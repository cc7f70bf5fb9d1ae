"""Receives datagrams with a number each and says what came: numbers.py PORT

Says `ready` on stderr. Ends when none has come for two seconds after the first, and prints how many there were, how many of them twice,
and how many behind a later one.
"""

import socket
import struct
import sys

SO_RCVBUFFORCE = 33

wire = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
wire.bind(("::", int(sys.argv[1])))
print("ready", file=sys.stderr, flush=True)
wire.settimeout(60)
seen, again, behind, last = set(), 0, 0, -1
while True:
    try:
        (number,) = struct.unpack(">Q", wire.recv(64))
    except TimeoutError:
        break
    wire.settimeout(2)
    again += number in seen
    behind += number < last
    last = max(last, number)
    seen.add(number)
print(len(seen), again, behind)
