#!/usr/bin/env python3
"""Prints what packets say and sends them on: a helper of tollgate-ra-relay.

As its child (exec = ["/usr/bin/python3", "/usr/local/bin/ra_policy.py"]), or with the path of its socket.
"""

import sys

import tollgate_ra

helper = tollgate_ra.Helper.connect(sys.argv[1]) if len(sys.argv) > 1 else tollgate_ra.Helper.stdio()
for packet in helper:
    # Standard output is the relay's where it is a pipe to it.
    print(packet.payload.decode(errors="backslashreplace"), file=sys.stderr, flush=True)
    helper.forward(packet)
