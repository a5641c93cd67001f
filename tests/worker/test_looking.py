"""Each process looks by itself, and what is slow is looked at apart from what somebody waits for."""

from __future__ import annotations

import time

import pytest

from booking.db import db
from booking.outbox import on_commit
from tests import far_ends, servers
from tests.notices.posting import booked, letters, post, post_code, states, wait_until
from worker import looking
from worker.app import app as started
from worker.app import make_celery, wake_after_commits

MAILS = 30


@pytest.fixture
def looks(app):
    """The looks of an embedded worker on the database of the test, without broker and beat."""
    celery = make_celery(app)
    celery.loader.import_default_modules()
    on_commit(lambda: None)
    yield lambda: looking.start(celery)
    looking.stop(20)
    wake_after_commits()
    started.set_current()


def test_a_slow_mail_server_holds_up_no_code(app, within, looks):
    with far_ends.mail_server(servers.free_port()) as mailbox, far_ends.sms_gateway() as gateway:
        app.config.update(
            SMTP_URL=mailbox.url,
            SMS_GATEWAY_URL=gateway.url,
            SMS_GATEWAY_KEY="key-of-a-test",
            SEND_TIMEOUT_SECONDS=10,
        )
        mailbox.mode, mailbox.delay = "slow", 1.0
        for row in booked(MAILS, email="an@example.org"):
            post(row, channels=("email",))
        looks()
        wait_until(lambda: len(mailbox.letters) >= 1, 30)
        db.session.remove()
        code = post_code()
        began = time.monotonic()
        wait_until(lambda: states(code_id=code.id) == {"accepted": 1}, 60)
        took = time.monotonic() - began
        assert took < 5
        assert len(mailbox.letters) < MAILS, "the mail server was still at it"
        taken = [one for one in letters(channel="email") if one.status == "sending"]
        assert len(taken) <= 20, "few letters are held by a server that is slow"
        mailbox.delay = 0.0
        looking.stop(20)
