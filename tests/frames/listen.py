"""Prints each frame that comes in by a link, for whomever it is, as hex on a line of its own: listen.py LINK

Says `ready` on stderr when it listens.
"""

import socket
import sys

EVERYTHING = 3
OUTGOING = 4
SO_RCVBUFFORCE = 33

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
link.bind((sys.argv[1], EVERYTHING))
print("ready", file=sys.stderr, flush=True)
while True:
    frame, (_, _, kind, _, _) = link.recvfrom(65535)
    if kind != OUTGOING:
        print(frame.hex(), flush=True)
