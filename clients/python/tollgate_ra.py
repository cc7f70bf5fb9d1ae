"""Decides about packets with the router alert option, as a helper of tollgate-ra-relay.

    import tollgate_ra

    helper = tollgate_ra.Helper.stdio()              # or .connect("/run/tollgate/policy.sock")
    for packet in helper:
        helper.forward(packet)

docs/ra-helper-protocol.md has the messages. Needs Python 3.11 and nothing else.
"""

import os
import socket
import struct
from dataclasses import dataclass

VERSION = 1
LONGEST = 1 << 17
LONGEST_HOLD_MS = 10_000

_QUESTION, _ANSWER = 1, 2
# Version, kind, two zeros, length of the whole message, id.
_HEADER = struct.Struct("!BBxxIQ")
# Time, value, family, lengths of interface and rule, three zeros.
_ABOUT = struct.Struct("!QHBBB3x")
# Verdict, three zeros, milliseconds.
_DECISION = struct.Struct("!B3xI")
_FORWARD, _CHANGED, _DROP, _PROHIBITED, _HOLD = range(1, 6)

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58


class ProtocolError(Exception):
    """The relay sent what this client does not understand."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that the relay waits for an answer about."""

    id: int
    time_ns: int  # when it came: nanoseconds since 1970, UTC
    value: int  # of its router alert
    family: int  # 4 or 6
    interface: str  # that it came by
    rule: str  # that it fits
    data: bytes  # from the IP header on

    @property
    def payload(self) -> bytes:
        """What is behind the header of TCP or UDP, or the checksum of ICMP; of other protocols all behind the IP headers."""
        return self.data[payload_offset(self.data) :]


def payload_offset(data: bytes) -> int:
    """Where the payload of an IP packet begins; its length if there is none."""
    if data[0] >> 4 == 4:
        offset, protocol = (data[0] & 15) * 4, data[9]
        is_later = struct.unpack_from("!H", data, 6)[0] & 0x1FFF != 0
    else:
        offset, protocol, is_later = 40, data[6], False
        while protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION) and offset + 8 <= len(data):
            if protocol == _FRAGMENT:
                is_later = struct.unpack_from("!H", data, offset + 2)[0] >> 3 != 0
                protocol, offset = data[offset], offset + 8
            else:
                protocol, offset = data[offset], offset + (data[offset + 1] + 1) * 8
            if is_later:
                break
    if not is_later:
        if protocol == _TCP and offset + 13 <= len(data):
            offset += (data[offset + 12] >> 4) * 4
        offset += {_UDP: 8, _ICMP: 4, _ICMPV6: 4}.get(protocol, 0)
    return min(offset, len(data))


class Helper:
    """A connection to the relay. Iterating over it waits for packets and ends when the relay goes."""

    def __init__(self, read, write):
        """`read` gives the bytes that come next, none at the end; `write` takes a message."""
        self._read, self._write, self._bytes = read, write, b""

    @classmethod
    def stdio(cls) -> "Helper":
        """Over standard input and output, as a child of the relay: what is said to people goes to standard error."""

        def write(message: bytes) -> None:
            while message:
                message = message[os.write(1, message) :]

        return cls(lambda: os.read(0, LONGEST), write)

    @classmethod
    def connect(cls, path: str) -> "Helper":
        """By a socket that the relay listens on. It talks to one helper at a time; others that connect wait."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(path)

        def read() -> bytes:
            try:
                return connection.recv(LONGEST)
            except ConnectionResetError:
                # The relay went without having read the last answers.
                return b""

        return cls(read, connection.sendall)

    def __iter__(self):
        return self

    def __next__(self) -> Packet:
        while True:
            if (packet := self._take()) is not None:
                return packet
            more = self._read()
            if not more:
                raise StopIteration
            self._bytes += more

    def forward(self, packet: Packet) -> None:
        """It goes on as it came."""
        self._answer(packet, _FORWARD)

    def change(self, packet: Packet, data: bytes) -> None:
        """`data`, from the IP header on, goes on in its place; the relay makes lengths and checksums right."""
        if len(data) > 65535:
            raise ValueError(f"a packet of {len(data)} bytes is none: 65535 are the most")
        self._answer(packet, _CHANGED, data=data)

    def change_payload(self, packet: Packet, payload: bytes) -> None:
        """The packet goes on with another payload."""
        self.change(packet, packet.data[: payload_offset(packet.data)] + payload)

    def drop(self, packet: Packet) -> None:
        """It is dropped."""
        self._answer(packet, _DROP)

    def prohibit(self, packet: Packet) -> None:
        """It is dropped, and its sender is told that this is prohibited."""
        self._answer(packet, _PROHIBITED)

    def hold(self, packet: Packet, milliseconds: int) -> None:
        """It goes on as it came, so much later."""
        if not 1 <= milliseconds <= LONGEST_HOLD_MS:
            raise ValueError(f"a packet cannot be held for {milliseconds} ms: 1 to {LONGEST_HOLD_MS} can be")
        self._answer(packet, _HOLD, milliseconds)

    def _answer(self, packet: Packet, verdict: int, milliseconds: int = 0, data: bytes = b"") -> None:
        decision = _DECISION.pack(verdict, milliseconds) + data
        self._write(_HEADER.pack(VERSION, _ANSWER, _HEADER.size + len(decision), packet.id) + decision)

    def _take(self) -> Packet | None:
        if len(self._bytes) < _HEADER.size:
            return None
        version, kind, length, number = _HEADER.unpack_from(self._bytes)
        if version != VERSION or kind != _QUESTION or not _HEADER.size + _ABOUT.size <= length <= LONGEST:
            raise ProtocolError(f"a message of version {version}, kind {kind} and {length} bytes: use a client of the relay's build")
        if len(self._bytes) < length:
            return None
        message, self._bytes = self._bytes[:length], self._bytes[length:]
        time_ns, value, family, interface, rule = _ABOUT.unpack_from(message, _HEADER.size)
        names = _HEADER.size + _ABOUT.size
        data = names + interface + rule
        return Packet(
            id=number,
            time_ns=time_ns,
            value=value,
            family=family,
            interface=message[names : names + interface].decode(),
            rule=message[names + interface : data].decode(),
            data=message[data:],
        )
