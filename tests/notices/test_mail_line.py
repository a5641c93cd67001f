"""Mail over one connection: a batch shares it, a broken one is made anew, and what may have been taken is called so."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

import config
from booking.notices.senders.mail import mail_server
from booking.notices.senders.provider import Outgoing, Rendered
from tests import certificates, far_ends, servers
from tests.notices.test_carriers import called

LETTER = Rendered("预约成功", "11 月 25 日 周三 上午 08:30")


class Line:
    """A mail server that tells its connections apart: takes `most` letters on each, and breaks as it is told to."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.breaks = most, ""
        self.connections = 0
        self.letters: list[tuple[int, str]] = []
        self.users: list[str] = []
        self.offered_password_openly = False

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        if not getattr(session, "number", 0):
            self.connections += 1
            session.number, session.count = self.connections, 0
        session.host_name = hostname
        self.offered_password_openly |= session.ssl is None and any("AUTH" in one for one in responses)
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if session.count >= self.most:
            return "421 enough for one connection"
        if self.breaks == "before":
            self.breaks = ""
            server.transport.abort()
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 no such box: nobody@example.org"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        session.count += 1
        self.letters.append((session.number, envelope.rcpt_tos[0]))
        if self.breaks == "after":
            self.breaks = ""
            server.transport.abort()
        return "250 taken"


@contextmanager
def line(handler=None, **more):
    handler = handler or Line()
    controller = Controller(handler, hostname="127.0.0.1", port=servers.free_port(), **more)
    controller.start()
    handler.url = f"smtp://127.0.0.1:{controller.port}"
    try:
        yield handler
    finally:
        controller.stop()


def settings(url, **more):
    return (
        vars(config.Testing())
        | {"SMTP_URL": url, "MAIL_FROM": "青梧就医 <noreply@example.org>", "SEND_TIMEOUT_SECONDS": 1}
        | more
    )


def batch(count=5, to="li{}@example.org"):
    return [Outgoing(to.format(number), LETTER, f"7-{number:032x}") for number in range(count)]


def test_a_batch_goes_over_one_connection():
    with line() as server:
        outcomes = mail_server(settings(server.url)).send(batch(20))
    assert [called(one) for one in outcomes] == ["accepted"] * 20
    assert server.connections == 1 and len(server.letters) == 20
    assert outcomes[3].provider_ref == f"<7-{3:032x}@example.org>"


def test_a_server_that_ends_the_connection_is_called_again():
    with line(Line(most=2)) as server:
        outcomes = mail_server(settings(server.url)).send(batch(5))
    assert [called(one) for one in outcomes] == ["accepted"] * 5
    assert [number for number, _ in server.letters] == [1, 1, 2, 2, 3]


def test_a_connection_that_broke_before_the_letter_is_made_anew():
    with line() as server:
        provider = mail_server(settings(server.url))
        server.breaks = "before"
        (outcome,) = provider.send(batch(1))
        assert called(outcome) == "later", "a fresh connection that breaks is a server in trouble"
        server.most = 1
        outcomes = provider.send(batch(3))
    assert [called(one) for one in outcomes] == ["accepted"] * 3


def test_a_connection_that_broke_after_the_letter_leaves_it_open():
    with line() as server:
        server.breaks = "after"
        outcomes = mail_server(settings(server.url)).send(batch(3))
    assert [called(one) for one in outcomes] == ["ambiguous", "later", "later"]
    assert len(server.letters) == 1


def test_one_refused_address_stops_nobody():
    letters = batch(3)
    letters[1] = Outgoing("nobody@example.org", LETTER, "7-x")
    letters.insert(2, Outgoing("bad\n@example.org", LETTER, "7-y"))
    letters.insert(3, Outgoing("李@example.org", LETTER, "7-z"))
    with line(enable_SMTPUTF8=False) as server:
        outcomes = mail_server(settings(server.url)).send(letters)
    assert [called(one) for one in outcomes] == ["accepted", "refused", "refused", "refused", "accepted"]
    assert all("nobody" not in one.why and "李" not in one.why for one in outcomes[1:4])
    assert server.connections == 1


def test_an_address_outside_ascii_goes_where_the_server_can():
    with line(enable_SMTPUTF8=True) as server:
        (outcome,) = mail_server(settings(server.url)).send(batch(1, "李@example.org"))
    assert called(outcome) == "accepted" and server.letters[0][1] == "李@example.org"


@pytest.mark.parametrize("mode", ["hang", "slow"])
def test_a_silent_server_is_waited_for_once(mode):
    with far_ends.mail_server(servers.free_port()) as mailbox:
        mailbox.mode = mode
        outcomes = mail_server(settings(mailbox.url)).send(batch(50))
    assert [called(one) for one in outcomes] == ["ambiguous"] + ["later"] * 49
    assert len(mailbox.letters) == 1


def test_no_server_took_nothing():
    outcomes = mail_server(settings(f"smtp://127.0.0.1:{servers.free_port()}")).send(batch(3))
    assert [called(one) for one in outcomes] == ["later"] * 3


# --- who we are ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine's own making, as a relay on it has."""
    _path, context = certificates.of_this_machine(tmp_path_factory.mktemp("tls"))
    return context


@contextmanager
def secure(certificate):
    handler = Line()

    def knows(server, session, envelope, mechanism, data):
        handler.users.append(data.login.decode())
        right = (data.login, data.password) == (b"us@er", b"se:cret")
        return AuthResult(success=right, handled=right)

    with line(
        handler,
        tls_context=certificate,
        require_starttls=True,
        auth_required=True,
        authenticator=knows,
    ) as server:
        yield server


def test_a_password_goes_over_starttls(certificate):
    with secure(certificate) as server:
        url = server.url.replace("smtp://", "smtp://us%40er:se%3Acret@")
        outcomes = mail_server(settings(url)).send(batch(3))
    assert [called(one) for one in outcomes] == ["accepted"] * 3
    assert server.users == ["us@er"] and not server.offered_password_openly


def test_a_wrong_password_is_our_mistake_and_is_tried_once(certificate):
    with secure(certificate) as server:
        url = server.url.replace("smtp://", "smtp://us%40er:wrong@")
        outcomes = mail_server(settings(url)).send(batch(3))
    assert [called(one) for one in outcomes] == ["ours"] * 3
    assert server.letters == [] and len(server.users) <= 2, "both ways to say a password, once"
    assert "wrong" not in outcomes[0].why


def test_a_certificate_nobody_vouches_for_is_our_mistake(certificate, monkeypatch):
    """Asked by a name that is not this very machine's, where certificates are checked."""
    monkeypatch.setattr("booking.notices.senders.mail.HERE", ())
    with secure(certificate) as server, ExitStack():
        url = server.url.replace("smtp://", "smtp://us%40er:se%3Acret@")
        outcomes = mail_server(settings(url)).send(batch(2))
    assert [called(one) for one in outcomes] == ["ours"] * 2
    assert server.users == []
