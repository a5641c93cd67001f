"""flask notices test and webhook: what they send, what they say, and what they never say."""

from __future__ import annotations

import logging

import pytest

from booking.db import db
from booking.directory.models import Hospital
from tests import factory, far_ends, provider_ends, servers

PHONE = "13800130055"


@pytest.fixture
def real(app):
    """Settings of an installation that sends by itself."""
    before = dict(app.config)
    app.config.update(DEMO=False, SEND_TIMEOUT_SECONDS=1, SMS_GATEWAY_KEY="k")
    yield app
    app.config.clear()
    app.config.update(before)


def run(app, *to):
    return app.test_cli_runner().invoke(
        args=["notices", "test", *(part for one in to for part in ("--to", one))]
    )


def test_one_letter_over_each_channel_and_what_became_of_it(within, real, caplog):
    with (
        far_ends.sms_gateway() as gateway,
        far_ends.mail_server(servers.free_port()) as mailbox,
        caplog.at_level(logging.DEBUG),
    ):
        real.config.update(SMS_GATEWAY_URL=gateway.url, SMTP_URL=mailbox.url, MAIL_FROM="a@example.org")
        done = run(real, PHONE, "li@example.org")
        assert done.exit_code == 0, done.output
        (call,) = gateway.calls
        assert call["to"] == f"+86{PHONE}" and call["text"].startswith("【青梧就医】验证码 000000")
        assert mailbox.letters[0][0] == ["li@example.org"]
    assert "sms over gateway: accepted as g-" in done.output
    assert "email over smtp: accepted as <0-" in done.output
    assert "webhook: not tried" in done.output and " s)" in done.output
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    for secret in (PHONE, "li@"):
        assert secret not in done.output
        assert not any(secret in message for message in ours), "beside the far end's own log"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("400", "refused for good: answered 400"),
        ("401", "refused, our settings are wrong: answered 401"),
        ("429", "not taken now: answered 429, come back in 120 s"),
        ("odd", "perhaps taken, nobody knows"),
    ],
)
def test_why_not_is_said_and_is_an_error(within, real, mode, said):
    with far_ends.sms_gateway() as gateway:
        gateway.mode = mode
        real.config.update(SMS_GATEWAY_URL=gateway.url)
        done = run(real, PHONE)
    assert done.exit_code == 1
    assert f"sms over gateway: {said}" in done.output


def test_the_second_provider_is_tried_too(within, real):
    with far_ends.sms_gateway() as gateway, provider_ends.running(provider_ends.Alibaba({})) as ali:
        real.config.update(
            SMS_PROVIDERS=["gateway", "alibaba"],
            SMS_GATEWAY_URL=gateway.url,
            ALIBABA_KEY_ID=ali.key_id,
            ALIBABA_KEY_SECRET=ali.secret,
            ALIBABA_SMS_URL=ali.url,
        )
        done = run(real, PHONE)
    assert done.exit_code == 1
    assert "sms over gateway: accepted" in done.output
    assert (
        "sms over alibaba: refused, our settings are wrong: no approved template for code.sms" in done.output
    )


def test_a_channel_nobody_carries_is_an_error(within, real):
    done = run(real, "li@example.org")
    assert done.exit_code == 1 and "email: nobody carries it here" in done.output


def test_what_is_no_address_is_not_repeated(within, real):
    done = run(real, "1380013")
    assert done.exit_code == 2 and "1380013" not in done.output.replace("--to", "")


def test_a_hospital_is_let_hear_and_tried(within, real):
    factory.clinic()
    slug = db.session.query(Hospital.slug).scalar()
    runner = real.test_cli_runner()
    with provider_ends.running(provider_ends.Receiver()) as receiver:
        refused = runner.invoke(args=["notices", "webhook", slug, "--url", receiver.url])
        assert refused.exit_code == 1 and "https://" in refused.output
        real.config.update(DEMO=True, WEBHOOK_ALLOW_PRIVATE=True)
        done = runner.invoke(args=["notices", "webhook", slug, "--url", receiver.url])
        assert done.exit_code == 0 and done.output.startswith("whsec_")
        receiver.secret = done.output.strip()
        tried = run(real, f"webhook:{slug}")
        assert tried.exit_code == 0, tried.output
        assert "webhook over webhook: delivered" in tried.output
        assert receiver.taken[0]["type"] == "test"
    off = runner.invoke(args=["notices", "webhook", slug, "--off"])
    assert off.exit_code == 0
    assert "refused for good: the hospital listens no longer" in run(real, f"webhook:{slug}").output
    assert runner.invoke(args=["notices", "webhook", "nobody-here", "--off"]).exit_code == 1
    assert runner.invoke(args=["notices", "webhook", slug]).exit_code == 2
