"""Makes frames, and sends them out of links, as it is told: scapy_frames.py, with a line of JSON on stdin for each

Each has "expressions" of scapy for a frame or a list of frames, and "link": all frames are made before the first is sent; none is, if
it is null. Answers each with a line: the "frames" as hex and the "seconds" that sending took, or the "error". One process does it for as long
as its namespace is there, since to start scapy takes longer than all else here.
"""

import json
import socket
import sys
import time
import traceback

from scapy.compat import raw
from scapy.layers.inet import *
from scapy.layers.inet6 import *
from scapy.layers.l2 import *
from scapy.packet import Raw


def answer(asked):
    frames = []
    for expression in asked["expressions"]:
        made = eval(expression, globals())
        frames += [raw(frame) for frame in (made if isinstance(made, list) else [made])]
    took = 0.0
    if asked["link"] is not None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
            link.bind((asked["link"], 0))
            began = time.monotonic()
            for frame in frames:
                link.send(frame)
            took = time.monotonic() - began
    return {"frames": [frame.hex() for frame in frames], "seconds": took}


for line in sys.stdin:
    try:
        said = answer(json.loads(line))
    except Exception:
        said = {"error": traceback.format_exc()}
    print(json.dumps(said), flush=True)
