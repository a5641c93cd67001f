"""A hospital's own system hears of changes: signed, not replayable, naming nobody, and never asked inside our own house."""

from __future__ import annotations

import base64
from contextlib import ExitStack

import httpx
import pytest
from sqlalchemy import select

import config
from booking.db import db
from booking.directory.models import Hospital
from booking.directory.webhooks import listeners, set_webhook
from booking.errors import NotFound
from booking.notices.senders.provider import Outgoing, Rendered, Sent, Temporary
from booking.notices.senders.webhook import NotAllowed, is_public, signed, target, webhook
from booking.notices.senders.wire import _trusted, client
from booking.notices.senders.wire import post as send_post
from booking.notices.service import send_due
from booking.outbox import reference
from tests import certificates, provider_ends, servers
from tests.notices.posting import booked, change, letters, only, post


@pytest.fixture
def receiver(app):
    with provider_ends.running(provider_ends.Receiver()) as receiver:
        app.config.update(WEBHOOK_ALLOW_PRIVATE=True, SEND_TIMEOUT_SECONDS=1)
        yield receiver
        app.config.update(WEBHOOK_ALLOW_PRIVATE=False)


def heard(row, receiver, path="/hooks"):
    """Let the hospital of `row` hear at `receiver`."""
    slug = db.session.scalar(select(Hospital.slug).where(Hospital.id == row.hospital_id))
    receiver.secret = set_webhook(slug, receiver.url + path)
    return slug


def test_a_change_is_told_signed_and_names_nobody(within, receiver):
    (row,) = booked(own_phone="+8613800139001", email="li@example.org")
    slug = heard(row, receiver)
    post(row, channels=("webhook",), recipient="hospital")
    assert send_due() == 1
    letter = only()
    assert (letter.status, letter.last_error) == ("delivered", "")
    assert receiver.refused == []
    (told,) = receiver.taken
    assert told["type"] == "appointment.confirmed"
    assert told["data"]["hospital"] == slug
    assert (told["data"]["status"], told["data"]["version"]) == ("booked", row.version)
    assert told["data"]["appointment"] == f"{row.hospital_id}-{row.id.hex}"
    raw = receiver.asked[0]["body"].decode()
    for secret in ("李", "138001", "li@", "10000000", "科"):
        assert secret not in raw
    assert receiver.asked[0]["headers"]["webhook-id"] == reference(letter)


def test_what_is_told_is_how_it_stands_now(within, receiver):
    (row,) = booked()
    heard(row, receiver)
    post(row, channels=("webhook",), recipient="hospital")
    change(row, status="cancelled")
    assert send_due() == 1
    assert receiver.taken[0]["data"]["status"] == "cancelled"


def test_an_overheard_call_is_refused(within, receiver):
    (row,) = booked()
    heard(row, receiver)
    post(row, channels=("webhook",), recipient="hospital")
    send_due()
    once = receiver.asked[0]
    assert receiver.why_not(once["headers"], once["body"]) == "had before"
    receiver.had.clear()
    assert receiver.why_not(once["headers"], once["body"]) == ""
    assert receiver.why_not(once["headers"], once["body"] + b" ") == "signature"
    later = once["headers"] | {"webhook-timestamp": str(int(once["headers"]["webhook-timestamp"]) + 5)}
    assert receiver.why_not(later, once["body"]) == "signature"


def test_a_receiver_that_was_away_is_told_again_under_the_same_name(within, receiver, now):
    (row,) = booked()
    heard(row, receiver)
    post(row, channels=("webhook",), recipient="hospital")
    receiver.mode = "500"
    assert send_due() == 0
    assert only().status == "waiting"
    receiver.mode = "ok"
    now.shift(seconds=40)
    assert send_due() == 1
    assert len({one["headers"]["webhook-id"] for one in receiver.asked}) == 1
    assert len(receiver.taken) == 1


def test_a_receiver_that_is_gone_ends_the_letter(within, receiver):
    (row,) = booked()
    heard(row, receiver)
    post(row, channels=("webhook",), recipient="hospital")
    receiver.mode = "410"
    send_due()
    assert only().status == "failed"


def test_a_new_secret_makes_the_old_one_worthless_and_off_is_off(within, receiver):
    (row,) = booked()
    slug = heard(row, receiver)
    first = receiver.secret
    assert first.startswith("whsec_") and len(base64.b64decode(first[6:])) == 32
    set_webhook(slug, receiver.url)
    post(row, channels=("webhook",), recipient="hospital")
    send_due()
    assert receiver.taken == [] and receiver.refused[0] == "signature"
    assert set_webhook(slug, "") == ""
    assert listeners({row.hospital_id}) == {}
    with pytest.raises(NotFound):
        set_webhook("no-such-hospital", "https://his.example.org/")


def test_the_secret_is_sealed(within, receiver):
    (row,) = booked()
    heard(row, receiver)
    stored = db.session.execute(select(Hospital.__table__.c.webhook_secret)).scalars().all()
    raw = db.session.connection().exec_driver_sql("SELECT webhook_secret FROM hospital").scalars().all()
    assert all(one.startswith("aesgcm.") for one in raw if one)
    assert receiver.secret in stored


# --- where it may lead -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("198.18.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("feff::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) == public


REAL = vars(config.Testing()) | {"DEMO": False}


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hooks",
        "https://localhost:8443/hooks",
        "https://[::1]/hooks",
        "http://8.8.8.8/hooks",
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "https://user:word@8.8.8.8/",
        "https:///hooks",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "hooks",
        "",
    ],
)
def test_a_webhook_leads_nowhere_inside(url):
    with pytest.raises(NotAllowed):
        target(url, REAL)


def test_what_was_looked_up_is_what_is_asked():
    url, host = target("https://8.8.8.8:8443/hooks?x=1", REAL)
    assert (str(url), host) == ("https://8.8.8.8:8443/hooks?x=1", "8.8.8.8:8443")
    url, host = target("http://localhost:8443/hooks", REAL | {"DEMO": True, "WEBHOOK_ALLOW_PRIVATE": True})
    assert url.host in ("127.0.0.1", "::1") and host == "localhost:8443"


def test_a_private_address_is_not_asked(within, receiver):
    (row,) = booked()
    heard(row, receiver)
    within.config.update(WEBHOOK_ALLOW_PRIVATE=False)
    post(row, channels=("webhook",), recipient="hospital")
    assert send_due() == 0
    assert receiver.asked == []
    assert "private network" in only().last_error


def test_redirections_are_not_followed(within, receiver):
    (row,) = booked()
    heard(row, receiver)
    receiver.mode = "302"
    with ExitStack() as until:
        (outcome,) = webhook(within.config, until).send(
            [Outgoing(str(row.hospital_id), Rendered("test", "{}"), "7-1")]
        )
    assert isinstance(outcome, Temporary) and outcome.why == "answered 302"
    assert len(receiver.asked) == 1


def test_the_host_is_named_as_it_was_written(within, receiver):
    (row,) = booked()
    receiver.url = receiver.url.replace("127.0.0.1", "localhost")
    heard(row, receiver)
    with ExitStack() as until:
        (outcome,) = webhook(within.config, until).send(
            [Outgoing(str(row.hospital_id), Rendered("test", "{}"), "7-1")]
        )
    assert outcome == Sent("delivered")
    assert receiver.asked[0]["headers"]["host"] == httpx.URL(receiver.url).netloc.decode()


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "whsec_" + base64.b64encode(b"k" * 23).decode()]
)
def test_a_secret_that_protects_nothing_signs_nothing(secret):
    with pytest.raises(NotAllowed):
        signed(secret, "7-1", b"{}")


def test_the_signature_is_that_of_the_standards_own_example():
    """The example of the Standard Webhooks libraries (standard-webhooks/libraries, every language has it)."""
    from booking.notices.senders import webhook as module

    at = module.seconds_since
    try:
        module.seconds_since = lambda _epoch: 1614265330.0
        headers = signed(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            b'{"test": 2432232314}',
        )
    finally:
        module.seconds_since = at
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_nothing_listening_is_trouble_that_may_pass(within, receiver):
    (row,) = booked()
    receiver.url = f"http://127.0.0.1:{servers.free_port()}"
    heard(row, receiver)
    post(row, channels=("webhook",), recipient="hospital")
    assert send_due() == 0
    assert [one.status for one in letters()] == ["waiting"]


@pytest.fixture
def vouched_for(monkeypatch, tmp_path):
    """A receiver over TLS whose certificate only the environment of this process vouches for."""
    path, context = certificates.of_this_machine(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    _trusted.cache_clear()
    receiver = provider_ends.Receiver()
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    receiver.url = receiver.url.replace("http://", "https://")
    with provider_ends.running(receiver):
        yield receiver
    _trusted.cache_clear()


def test_whom_the_environment_vouches_for_hears_nothing_of_a_visit(app, within, vouched_for):
    """`SSL_CERT_FILE` is for our own providers, behind a proxy of the house; a hospital's system is a stranger."""
    app.config.update(WEBHOOK_ALLOW_PRIVATE=True, SEND_TIMEOUT_SECONDS=1)
    with ExitStack() as open_until:
        ours = send_post(client(app.config, open_until), vouched_for.url, b"{}", {"webhook-id": "1"})
    assert ours.status == 401, "a provider of ours with that certificate is spoken to"
    asked = len(vouched_for.asked)
    (row,) = booked()
    heard(row, vouched_for)
    post(row, channels=("webhook",), recipient="hospital")
    assert send_due() == 0
    assert len(vouched_for.asked) == asked
    assert (only().status, only().last_error) == ("waiting", "not reached: ConnectError")
