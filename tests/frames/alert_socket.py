"""Opens a raw socket that takes the IPv6 router alerts of one value in this namespace, and becomes a program that has it as its standard
input: alert_socket.py VALUE BUFFER CPU PROGRAM [ARGUMENT...]

A BUFFER of 0 is what sockets have when nobody asks.
"""

import os
import socket
import sys

SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32
IPV6_ROUTER_ALERT = 22
IPV6_ROUTER_ALERT_ISOLATE = 30

value, buffer, cpu = map(int, sys.argv[1:4])
wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
wire.setsockopt(socket.IPPROTO_IPV6, IPV6_ROUTER_ALERT_ISOLATE, 1)
wire.setsockopt(socket.IPPROTO_IPV6, IPV6_ROUTER_ALERT, value)
if buffer:
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
    wire.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, buffer)
os.sched_setaffinity(0, {cpu})
os.dup2(wire.fileno(), 0)
os.execv(sys.argv[4], sys.argv[4:])
