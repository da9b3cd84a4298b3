"""Messages over a socket: JSON, and bytes of an agreed number after it. Nothing is unpickled."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

_LENGTH = struct.Struct(">I")
_MAX_MESSAGE_BYTES = 2**20

Message = dict[str, Any]


class Channel:
    """One end of a connected stream socket; closes with it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: Message, payload: Any = b"") -> None:
        """Send a message and the bytes of a buffer. Raises OSError if the other side is gone."""
        text = json.dumps(message).encode()
        self._end.settimeout(None)
        self._end.sendall(_LENGTH.pack(len(text)) + text)
        if len(payload):  # else the other end may have answered and closed: no byte, no error
            self._end.sendall(payload)

    def receive(self, secs: float | None = None) -> Message:
        """The next message. Raises TimeoutError after `secs`, EOFError if the other side is gone,
        ValueError if it is no message.
        """
        deadline = None if secs is None else time.monotonic() + secs
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size, deadline))
        if length > _MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {length:,} bytes")
        message = json.loads(self._exactly(length, deadline))
        if not isinstance(message, dict):
            raise ValueError("a message that is no object")
        return message

    def fill(self, buffer: memoryview, secs: float | None = None) -> None:
        """Receive the bytes after a message. Raises as `receive` does."""
        deadline = None if secs is None else time.monotonic() + secs
        at = 0
        while at < len(buffer):
            self._end.settimeout(_left(deadline))
            count = self._end.recv_into(buffer[at:])
            if not count:
                raise EOFError
            at += count

    def close(self) -> None:
        """Close the socket."""
        self._end.close()

    def _exactly(self, count: int, deadline: float | None) -> bytes:
        buffer = bytearray(count)
        self.fill(memoryview(buffer), _left(deadline))
        return bytes(buffer)


def _left(deadline: float | None) -> float | None:
    """Seconds to a deadline. Raises TimeoutError after it."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
