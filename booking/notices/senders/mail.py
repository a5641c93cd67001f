"""E-mail over the hospital's own mail server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from booking.notices.senders.provider import (
    Outgoing,
    Permanent,
    Provider,
    Rendered,
    Sent,
    Temporary,
    one_by_one,
)


def mail_server(settings: Mapping[str, Any]) -> Provider:
    """Return the way to `SMTP_URL`: smtp://user:password@host:587 (STARTTLS where offered), smtps:// (TLS at once).

    With a password STARTTLS is a must, except to this very machine.
    """
    url = urlsplit(settings["SMTP_URL"])
    host, sender = url.hostname or "localhost", settings["MAIL_FROM"]
    port = url.port or (465 if url.scheme == "smtps" else 587 if url.username else 25)
    timeout, here = settings["SEND_TIMEOUT_SECONDS"], host in ("localhost", "127.0.0.1", "::1")

    def connect() -> smtplib.SMTP:
        if url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, timeout=timeout)
        try:
            server.ehlo()
            if url.scheme != "smtps" and server.has_extn("starttls"):
                server.starttls(context=_tls(here))
                server.ehlo()
            elif url.scheme != "smtps" and url.username and not here:
                raise Temporary("the mail server offers no STARTTLS; the password stays here")
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
        except BaseException:
            server.close()
            raise
        return server

    def send(outgoing: Outgoing) -> Sent:
        address = outgoing.address
        try:
            message = mail(address, outgoing.letter, outgoing.reference, sender)
        except ValueError as problem:
            raise Permanent("the e-mail address cannot be used") from problem
        try:
            server = connect()
            try:
                server.send_message(message, from_addr=parseaddr(sender)[1], to_addrs=[address])
            finally:
                _leave(server)
        except smtplib.SMTPRecipientsRefused as refused:
            raise _by_code("recipient", max(code for code, _ in refused.recipients.values())) from refused
        except smtplib.SMTPDataError as refused:
            raise _by_code("letter", refused.smtp_code) from refused
        except (UnicodeEncodeError, smtplib.SMTPNotSupportedError) as refused:  # an address outside ASCII
            raise Permanent("the mail server cannot reach such an address") from refused
        except (OSError, smtplib.SMTPException) as problem:
            code = getattr(problem, "smtp_code", "")
            raise Temporary(f"mail server: {type(problem).__name__} {code}".strip()) from problem
        return Sent("accepted", message["Message-ID"])

    return Provider("smtp", "email", at_once=20, per_second=0, send=one_by_one(send))


def _tls(here: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if here:  # a relay on this machine has a certificate of its own making
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _by_code(what: str, code: int) -> Exception:
    said = f"mail server refused the {what} with {code}"
    return Permanent(said) if code >= 500 else Temporary(said)


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye; the letter is already accepted or refused, so nothing that happens here counts."""
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def mail(address: str, letter: Rendered, reference: str, sender: str) -> EmailMessage:
    """Return the e-mail: text, a small page, the calendar entry. Raises ValueError for an address with a line break."""
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
        message.add_attachment(
            letter.calendar,
            maintype="text",
            subtype="calendar",
            filename="appointment.ics",
            params={"method": letter.calendar_method, "charset": "utf-8"},
        )
    return message
