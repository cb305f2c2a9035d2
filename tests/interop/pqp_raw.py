"""A WebSocket of our own on a bare socket, for frames that no library would send (RFC 6455)."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Sequence
from typing import Any

from pqp_client import PATIENCE, Closed

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", base64.b64encode(bytes(16)).decode()),
)


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    form: int = 0,
) -> bytes:
    """`length`: what the header says instead of the truth; `form`: bytes of it, 0: fewest."""
    n = len(payload) if length is None else length
    form = form or (1 if n < 126 else 3 if n < 65536 else 9)
    small = {1: n, 3: 126, 9: 127}[form]
    head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | small])
    head += b"" if form == 1 else n.to_bytes(form - 1, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


class RawSocket:
    """A Wire that also sends any bytes. Data frames it receives must be whole messages."""

    def __init__(self, address: str, headers: Sequence[tuple[str, str]] = UPGRADE) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self._read = self.socket.makefile("rb")
        lines = [f"{name}: {value}" for name, value in (("Host", address), *headers)]
        self.write("\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            line = self._read.readline()
            if not line:
                raise Closed("no answer to the upgrade")
            self.head += line
        self.status = int(self.head.split()[1])

    def write(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise Closed(str(e)) from None

    def send(self, message: str | bytes) -> None:
        text = isinstance(message, str)
        self.write(encode_frame(TEXT if text else BINARY, _bytes(message)))

    def send_in_pieces(self, message: str | bytes, size: int) -> None:
        data, opcode = _bytes(message), TEXT if isinstance(message, str) else BINARY
        for at in range(0, len(data), size):
            self.write(encode_frame(opcode, data[at : at + size], fin=at + size >= len(data)))
            opcode = CONTINUATION

    def _take(self, n: int) -> bytes:
        try:
            data = self._read.read(n)
        except ConnectionError as e:
            raise Closed(str(e)) from None
        if len(data) < n:
            raise Closed("the connection ended")
        return data

    def recv_frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        assert first & 0xF0 == 0x80 and second < 128, "not a whole, unmasked frame"
        n = second
        if second > 125:
            n = int.from_bytes(self._take(2 if second == 126 else 8), "big")
        return first & 15, self._take(n)

    def recv(self, timeout: float = PATIENCE) -> str | bytes:
        """The next message; Closed, with the status in it, at the close frame."""
        self.socket.settimeout(timeout)
        while True:
            opcode, payload = self.recv_frame()
            if opcode == CLOSE:
                raise Closed(f"status {int.from_bytes(payload[:2], 'big')}")
            if opcode in (TEXT, BINARY):
                return payload.decode() if opcode == TEXT else payload

    def close(self) -> None:
        self._read.close()
        self.socket.close()

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
