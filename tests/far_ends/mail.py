"""A mail server on a real port that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from tests.far_ends.ledger import Ledger

MODES = {
    "ok": "accepts",
    "slow": "accepts after `delay` seconds",
    "hang": "accepts and never answers",
    "drop": "accepts and hangs up without an answer",
    "451": "puts the letter off",
    "554": "refuses the letter for good",
}


class Mailbox:
    """What a mail server received; `mode` may be changed while it runs, `rcpt_answer` and `data_answer` replace its answers
    to RCPT and DATA when set."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger()
        self.mode, self.delay = "ok", 3.0
        self.keeps_letters = True
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
        mode = self.mode
        if self.data_answer:
            return self.data_answer
        if mode.isdigit():
            return f"{mode} not now" if mode < "500" else f"{mode} never"
        letter = message_from_bytes(envelope.content, policy=policy.default)
        reference = str(letter["Message-ID"]).strip("<>").partition("@")[0]
        for to in envelope.rcpt_tos:
            self.ledger.accept(reference, to, str(letter["Subject"]), mode=mode)
        if self.keeps_letters:
            self.letters.append((list(envelope.rcpt_tos), letter))
        if mode == "drop":
            assert server.transport is not None
            server.transport.abort()
        if mode == "slow":
            await asyncio.sleep(self.delay)
        if mode == "hang":
            await asyncio.sleep(3600)
        return "250 accepted"


@contextlib.contextmanager
def mail_server(port: int, *, ledger: Ledger | None = None, **settings: Any) -> Iterator[Mailbox]:
    """Run a mail server on `port` of this machine."""
    mailbox = Mailbox(ledger)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **settings)
    controller.start()
    mailbox.url = f"smtp://127.0.0.1:{port}"
    try:
        yield mailbox
    finally:
        controller.stop()
