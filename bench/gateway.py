"""An SMS gateway of our own: accepts every letter of every batch, keeps nothing. `python -m bench.gateway PORT`."""

from __future__ import annotations

import asyncio
import re
import sys

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REFERENCE = re.compile(rb'"reference": *"([0-9a-z-]+)"')


def answer(body: bytes) -> bytes:
    """Return the whole HTTP answer that accepts each letter of a request."""
    said = b"[%s]" % b", ".join(
        b'{"reference": "%s", "status": "accepted", "id": "bench"}' % one for one in _REFERENCE.findall(body)
    )
    head = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(said) + said


class Gateway(asyncio.Protocol):
    """Answers each whole request with 202."""

    def __init__(self) -> None:
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, some: bytes) -> None:
        self.got += some
        while (end := self.got.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.got[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.got) < whole:
                return
            body, self.got = self.got[end + 4 : whole], self.got[whole:]
            self.transport.write(answer(body))


async def serve(port: int) -> None:
    """Serve on loopback until ended."""
    server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
