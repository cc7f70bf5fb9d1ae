"""Sends frames out of a link: send.py LINK EXPRESSION...

Each expression is scapy's, for a frame or a list of frames. All are made before the first is sent. Prints each frame
as hex on a line of its own, and last the seconds that sending took.
"""

import socket
import sys
import time

from scapy.compat import raw
from scapy.layers.inet import *
from scapy.layers.inet6 import *
from scapy.layers.l2 import *
from scapy.packet import Raw

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind((sys.argv[1], 0))
frames = []
for expression in sys.argv[2:]:
    made = eval(expression)
    frames += [raw(frame) for frame in (made if isinstance(made, list) else [made])]
began = time.monotonic()
for frame in frames:
    link.send(frame)
took = time.monotonic() - began
for frame in frames:
    print(frame.hex())
print(took)
