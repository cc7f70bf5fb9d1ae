"""Prints each frame that comes in by a link, for whomever it is, as hex on a line of its own: listen.py LINK

Says `ready` on stderr when it listens. A line on stdin is printed again when all that had come in before it is. The kernel takes the outermost VLAN tag off
and says what it was: it is put back.
"""

import select
import socket
import struct
import sys

EVERYTHING = 3
OUTGOING = 4
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_AUXDATA = 8
VLAN_VALID = 0x10
TPID_VALID = 0x40

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
link.bind((sys.argv[1], EVERYTHING))
link.setblocking(False)


def print_what_came():
    while True:
        try:
            frame, notes, _, (_, _, kind, _, _) = link.recvmsg(65535, 256)
        except BlockingIOError:
            return
        for level, name, data in notes:
            if (level, name) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
                if status & VLAN_VALID:
                    tpid = tpid if status & TPID_VALID else 0x8100
                    frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        if kind != OUTGOING:
            print(frame.hex(), flush=True)


print("ready", file=sys.stderr, flush=True)
inputs = [link, sys.stdin]
while True:
    ready, _, _ = select.select(inputs, [], [])
    asked = sys.stdin.readline() if sys.stdin in ready else None
    print_what_came()
    if asked:
        print(asked, end="", flush=True)
    elif asked == "":
        inputs.remove(sys.stdin)
