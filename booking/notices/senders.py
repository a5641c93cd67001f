"""The only code that leaves the building: one sender per channel, each told an address, a text and a reference.

A sender is called with no database connection held. It returns a `Sent` or raises: `Permanent` when this letter can
never arrive, `Temporary` when a later try may succeed. The reference is the same at every try, so that a provider
that honours it delivers once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, parseaddr, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.clock import db_now
from booking.db import transaction
from booking.notices.models import DemoLetter

log = logging.getLogger(__name__)

REFUSED_FOR_GOOD = frozenset({400, 410, 413, 422})
"""HTTP answers about this one letter. 401, 403, 404 and the like are about our settings, which somebody mends."""
LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True)
class Rendered:
    """What one letter says: `subject` for pages and e-mail, `text`, and for e-mail a page and a calendar entry."""

    subject: str
    text: str
    html: str = ""
    calendar: bytes = b""
    calendar_method: str = "REQUEST"


@dataclass(frozen=True)
class Sent:
    """The letter left: `status` delivered or accepted, with the provider's own name for it."""

    status: str
    provider_ref: str = ""


class Permanent(Exception):
    """This letter can never be sent; the text says why, without personal data."""


class Temporary(Exception):
    """A later try may succeed. `wait` is what the provider asked for, in seconds."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait


Sender = Callable[[str, Rendered, str], Sent]
"""Takes address, letter and reference."""


def sender_for(channel: str, settings: Mapping[str, Any], open_until: ExitStack) -> Sender | None:
    """Return who carries letters of `channel`: the real one where it is set, else the demo's; None where there is none.

    What the sender keeps open is closed with `open_until`.
    """
    if channel == "app":
        return send_app
    if channel == "sms" and settings["SMS_GATEWAY_URL"]:
        return sms_gateway(settings, open_until)
    if channel == "email" and settings["SMTP_URL"]:
        return mail_server(settings)
    return demo_sender(channel, settings) if settings["DEMO"] else None


def send_app(address: str, letter: Rendered, reference: str) -> Sent:
    """An in-app letter arrives by being stored in its own row, which the caller does when it settles."""
    return Sent("delivered")


def demo_sender(channel: str, settings: Mapping[str, Any]) -> Sender:
    """Return the sender that shows letters on the demo's page. Raises RuntimeError outside the demo."""
    if not settings["DEMO"]:
        raise RuntimeError("letters are shown on a page only in the demo")

    def send(address: str, letter: Rendered, reference: str) -> Sent:
        shown = DemoLetter(
            channel=channel, reference=reference, to=address, subject=letter.subject, body=letter.text
        )
        try:
            with transaction() as session:
                known = select(DemoLetter.id).where(DemoLetter.reference == reference)
                if session.scalar(known) is None:
                    shown.at = db_now(session)
                    session.add(shown)
        except IntegrityError:  # another worker showed the same letter at the same moment
            log.info("demo letter %s was shown before", reference)
        log.info("demo letter %s shown (%s)", reference, channel)
        return Sent("accepted", f"demo-{reference}")

    return send


def sms_gateway(settings: Mapping[str, Any], open_until: ExitStack) -> Sender:
    """Return the sender to a plain HTTP gateway.

    POST of JSON {to, text, reference}, with `X-Signature: sha256=<hex>`, the HMAC of the body under `SMS_GATEWAY_KEY`,
    and the reference again as `Idempotency-Key`. Any 2xx is acceptance; its `id`, if any, is kept.
    """
    url, key = settings["SMS_GATEWAY_URL"], settings["SMS_GATEWAY_KEY"].encode()
    client = open_until.enter_context(httpx.Client(timeout=settings["SEND_TIMEOUT_SECONDS"]))

    def send(address: str, letter: Rendered, reference: str) -> Sent:
        body = json.dumps(
            {"to": address, "text": letter.text, "reference": reference}, ensure_ascii=False
        ).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": reference,
            "X-Signature": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
        }
        try:
            with client.stream("POST", url, content=body, headers=headers) as answer:
                if answer.is_success:
                    return Sent("accepted", _provider_ref(answer))
                status, wait = answer.status_code, _asked_to_wait(answer.headers)
        except httpx.InvalidURL as problem:
            raise Temporary("the gateway's address cannot be used") from problem
        except httpx.HTTPError as problem:
            raise Temporary(f"gateway: {type(problem).__name__}") from problem
        if status in REFUSED_FOR_GOOD:
            raise Permanent(f"gateway answered {status}")
        raise Temporary(f"gateway answered {status}", wait)

    return send


def _provider_ref(answer: httpx.Response) -> str:
    """The gateway's id; an answer that is no JSON, or far too long, or cut off is acceptance all the same."""
    text = b""
    try:
        for part in answer.iter_bytes():
            text += part
            if len(text) > LONGEST_ANSWER:
                return ""
        said = json.loads(text)
    except (ValueError, RecursionError, httpx.HTTPError):
        return ""
    named = str(said.get("id") or "") if isinstance(said, dict) else ""
    # what no database can keep must not undo the acceptance: the letter would go out again and again
    return "".join(sign for sign in named if sign.isascii() and sign.isprintable())


def _asked_to_wait(headers: httpx.Headers) -> float:
    """Seconds of Retry-After: a number, or a date read by the provider's own clock; 0 when it says nothing."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        there, now = (parsedate_to_datetime(said) for said in (asked, headers.get("Date", "")))
        return max(0.0, (there - now).total_seconds())
    except (ValueError, TypeError):
        return 0


def mail_server(settings: Mapping[str, Any]) -> Sender:
    """Return the sender to `SMTP_URL`: smtp://user:password@host:587 (STARTTLS where offered), smtps:// (TLS at once).

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

    def send(address: str, letter: Rendered, reference: str) -> Sent:
        try:
            message = mail(address, letter, reference, sender)
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

    return send


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
