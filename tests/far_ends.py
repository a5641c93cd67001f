"""The far ends of the senders, on real ports: a small SMS gateway and a mail server."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

MODES = ("ok", "500", "429", "400", "401", "slow", "drop", "odd")


class Gateway:
    """An SMS gateway that can misbehave. `calls` are all requests; `phones` what arrived, once per reference.

    Modes: ok, a status number, slow (accepts after `delay` seconds), drop (accepts and hangs up without an answer),
    odd (accepts with an answer that is no JSON).
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self.delay = 3.0
        self.retry_after = "120"
        self.calls: list[dict[str, Any]] = []
        self.phones: dict[str, dict[str, Any]] = {}
        self.on_call: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        gateway = self

        class Line(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.receive(self, raw)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *args: Any) -> None:
                """A caller that was killed hangs up in the middle; that is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Line)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/sms"

    def receive(self, line: BaseHTTPRequestHandler, raw: bytes) -> None:
        said = json.loads(raw)
        mode = self.mode
        with self.lock:
            self.calls.append({"raw": raw, "headers": dict(line.headers), "mode": mode, **said})
            if mode in ("ok", "slow", "drop", "odd", "unkept"):
                self.phones.setdefault(said["reference"], said)
        self.on_call()
        if mode == "drop":
            line.close_connection = True
            return
        if mode == "slow":
            time.sleep(self.delay)
        status = int(mode) if mode.isdigit() else 200
        odd = {"odd": b"thanks", "unkept": b'{"id": "g-\\u0000\\ud8007"}'}
        body = odd.get(mode) or json.dumps({"id": f"g-{said['reference'][:8]}"}).encode()
        line.send_response(status)
        if mode == "429":
            line.send_header("Retry-After", self.retry_after)
        line.send_header("Content-Length", str(len(body)))
        line.end_headers()
        line.wfile.write(body)

    def times(self) -> Counter[str]:
        """How often each reference was asked for."""
        with self.lock:
            return Counter(call["reference"] for call in self.calls)


@contextlib.contextmanager
def sms_gateway() -> Iterator[Gateway]:
    """Run an SMS gateway on a free port."""
    gateway = Gateway()
    thread = threading.Thread(
        target=gateway.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield gateway
    finally:
        gateway.server.shutdown()
        gateway.server.server_close()
        thread.join()


class Mailbox:
    """What a mail server received; `answer` replaces the answer to RCPT or DATA when set."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], EmailMessage]] = []
        self.rcpt_answer = ""
        self.data_answer = ""
        self.url = ""

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.rcpt_answer:
            return self.rcpt_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        if self.data_answer:
            return self.data_answer
        letter = message_from_bytes(envelope.content, policy=policy.default)
        self.letters.append((list(envelope.rcpt_tos), letter))
        return "250 accepted"


@contextlib.contextmanager
def mail_server(port: int, **settings: Any) -> Iterator[Mailbox]:
    """Run a mail server on `port` of this machine."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **settings)
    controller.start()
    mailbox.url = f"smtp://127.0.0.1:{port}"
    try:
        yield mailbox
    finally:
        controller.stop()
