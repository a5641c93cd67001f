"""E-mail over the hospital's own mail server."""

from __future__ import annotations

import io
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from booking.errors import where
from booking.notices.senders.provider import (
    Outcome,
    Outgoing,
    Permanent,
    Provider,
    Rendered,
    Sent,
    Temporary,
)

AT_ONCE = 50
HERE = ("localhost", "127.0.0.1", "::1")


class _Broken(Exception):
    """The connection cannot be used any longer; the letter was not handed over."""


class _Away(Exception):
    """The server takes nothing at present; `outcome` is what that means for all letters left."""

    def __init__(self, outcome: Temporary) -> None:
        super().__init__(outcome.why)
        self.outcome = outcome


@dataclass(frozen=True)
class Server:
    """Where `SMTP_URL` points to: smtp://user:password@host:587 (STARTTLS), smtps:// (TLS at once).

    Only to this very machine letters may go in the clear, where no STARTTLS is offered.
    """

    host: str
    port: int
    secure: bool
    user: str
    password: str
    timeout: float

    def connect(self) -> smtplib.SMTP:
        """Return a connection that is ready for letters. Raises _Away."""
        server: smtplib.SMTP | None = None
        try:
            if self.secure:
                server = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=_tls(False))
            else:
                server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
            self._greet(server)
        except BaseException as problem:
            if server is not None:
                server.close()
            if isinstance(problem, OSError | smtplib.SMTPException):
                ours = isinstance(problem, ssl.SSLCertVerificationError) or (
                    isinstance(problem, smtplib.SMTPAuthenticationError) and problem.smtp_code >= 500
                )
                raise _Away(Temporary(f"mail server: {_name(problem)}", ours=ours)) from problem
            raise
        return server

    def _greet(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        here = self.host in HERE
        if not self.secure and server.has_extn("starttls"):
            server.starttls(context=_tls(here))
            server.ehlo()
        elif not self.secure and not here:
            raise _Away(Temporary("the mail server offers no STARTTLS; nothing is told openly", ours=True))
        if self.user:
            server.login(self.user, self.password)


def mail_server(settings: Mapping[str, Any]) -> Provider:
    """Return the way to `SMTP_URL`. A batch goes over one connection; one that breaks is made anew, once for a letter."""
    url, sender = urlsplit(settings["SMTP_URL"]), settings["MAIL_FROM"]
    secure = url.scheme == "smtps"
    server = Server(
        url.hostname or "localhost",
        url.port or (465 if secure else 587 if url.username else 25),
        secure,
        unquote(url.username or ""),
        unquote(url.password or ""),
        settings["SEND_TIMEOUT_SECONDS"],
    )

    def send(batch: list[Outgoing]) -> list[Outcome]:
        return _Line(server, sender).carry(batch)

    return Provider("smtp", "email", at_once=AT_ONCE, per_second=0, send=send)


class _Line:
    """The connection that carries one batch."""

    def __init__(self, server: Server, sender: str) -> None:
        self.server, self.sender = server, sender
        self.open: smtplib.SMTP | None = None

    def carry(self, batch: list[Outgoing]) -> list[Outcome]:
        """Send one after the other. A server that does not answer is not waited for again and again: the rest comes later."""
        outcomes: list[Outcome] = []
        try:
            for one in batch:
                outcomes.append(outcome := self._one(one))
                if isinstance(outcome, Temporary) and outcome.ambiguous:
                    raise _Away(Temporary("mail server: the letter before this one got no answer"))
        except _Away as away:
            outcomes += [away.outcome] * (len(batch) - len(outcomes))
        finally:
            self._leave()
        return outcomes

    def _one(self, one: Outgoing) -> Outcome:
        try:
            message = mail(one.address, one.letter, one.reference, self.sender)
            raw, options = _raw(message, one.address)
        except ValueError:
            return Permanent("the e-mail address cannot be used")
        for fresh in (False, True):
            fresh = fresh or self.open is None
            self.open = self.open or self.server.connect()
            try:
                return self._hand_over(self.open, one.address, raw, options, message["Message-ID"])
            except _Broken as broken:
                self._leave()
                if fresh:
                    raise _Away(Temporary(f"mail server: {broken}")) from broken
            except (Permanent, Temporary) as refused:
                return refused
            except _Away:
                raise
            except Exception as problem:
                self._leave()
                return Temporary(f"unforeseen: {where(problem)}", ambiguous=True)
        raise AssertionError("a fresh connection either carries the letter or is away")

    def _hand_over(
        self, server: smtplib.SMTP, address: str, raw: bytes, options: list[str], name: str
    ) -> Sent:
        """Hand one letter to the server. Raises Permanent and Temporary about this letter, _Broken before it was told."""
        if options and not server.has_extn("smtputf8"):
            raise Permanent("the mail server cannot reach such an address")
        try:
            code, _ = server.mail(parseaddr(self.sender)[1], options)
            if code == 421:
                raise _Broken("421")
            if code >= 400:
                raise self._refused("sender", code, ours=True)
            code, _ = server.rcpt(address)
            if code == 421:
                raise _Broken("421")
            if code >= 400:
                raise self._refused("recipient", code)
        except (OSError, smtplib.SMTPException) as problem:
            raise _Broken(_name(problem)) from problem
        try:
            code, _ = server.data(raw)
        except smtplib.SMTPDataError as refused:  # the answer to the word DATA itself
            raise self._refused("letter", refused.smtp_code) from refused
        except (OSError, smtplib.SMTPException) as problem:
            self._leave()
            raise self._unknown(problem) from problem
        if code >= 400:
            raise self._refused("letter", code)
        return Sent("accepted", name)

    def _refused(self, what: str, code: int, ours: bool = False) -> Permanent | Temporary:
        """Return what a refusal means, and make the connection ready for the next letter."""
        if self.open is not None:
            try:
                self.open.rset()
            except (OSError, smtplib.SMTPException):
                self._leave()
        said = f"mail server refused the {what} with {code}"
        return Permanent(said) if code >= 500 and not ours else Temporary(said, ours=ours and code >= 500)

    def _unknown(self, problem: Exception) -> Temporary:
        return Temporary(f"mail server: {_name(problem)}, after the letter had been told", ambiguous=True)

    def _leave(self) -> None:
        """Say goodbye; every letter is accepted or refused by now, so nothing that happens here counts."""
        server, self.open = self.open, None
        if server is None:
            return
        try:
            server.quit()
        except (OSError, smtplib.SMTPException):
            server.close()


def _raw(message: EmailMessage, address: str) -> tuple[bytes, list[str]]:
    """Return the letter as it goes over the line, and what MAIL must ask for; an address outside ASCII needs SMTPUTF8."""
    wide = not address.isascii()
    written = io.BytesIO()
    BytesGenerator(written, policy=SMTPUTF8 if wide else SMTP).flatten(message)
    return written.getvalue(), ["SMTPUTF8", "BODY=8BITMIME"] if wide else []


def _name(problem: BaseException) -> str:
    """Name an error with its code; a server's own words may carry the address."""
    return f"{type(problem).__name__} {getattr(problem, 'smtp_code', '')}".strip()


def _tls(here: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if here:  # a relay on this machine has a certificate of its own making
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def mail(address: str, letter: Rendered, reference: str, sender: str) -> EmailMessage:
    """Return the e-mail: text, a small page, the calendar entry. Raises ValueError for an address with a line break.

    The entry stands twice: as an alternative, which mailboxes show with their buttons (RFC 6047, 2.4), and as a file for
    whatever does not know that.
    """
    message = EmailMessage()
    # Python's folding loses a space where it splits a long subject; a no-break space is not split at.
    message["Subject"] = letter.subject.replace(" ", "\u00a0")
    message["From"] = sender
    message["To"] = address
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = f"<{reference}@{domain}>"
    message["Date"] = formatdate()
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte="base64")  # old relays carry seven bits only
    if letter.html:
        message.add_alternative(letter.html, subtype="html", cte="base64")
    if letter.calendar:
        entry = letter.calendar.decode()
        method = {"method": letter.calendar_method}
        message.add_alternative(entry, subtype="calendar", cte="base64", params=method)
        message.add_attachment(
            letter.calendar, maintype="application", subtype="ics", filename="appointment.ics"
        )
    return message
