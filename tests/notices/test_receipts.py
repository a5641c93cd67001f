"""Receipts: signed, kept once, carried into their letters in any order, never backwards."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from booking import failpoints
from booking.clock import db_now, local
from booking.db import db, transaction
from booking.notices import receipts
from booking.notices.callbacks import Event, signature
from booking.notices.models import Receipt
from booking.notices.receipts import NO_LETTER, Taken, record_receipts
from booking.outbox import PLATFORM, Message, reference
from booking.vault import blind_index
from tests.notices.posting import booked, letters, only, post

KEY = "callback-key-of-a-test-0123456789"
ALL = ("unknown", "failed", "delivered")


def a_letter(status: str = "accepted", **columns) -> Message:
    """A letter in some state, as a sender would have left it."""
    (row,) = booked()
    post(row, channels=("sms",))
    with transaction() as session:
        columns = {"status": status, "attempts": 1, "fence": 1} | columns
        if status in ("accepted", "delivered"):
            columns |= {"sent_at": db_now(session)}
        if status == "sending":
            columns |= {"lease_until": db_now(session)}
        session.execute(update(Message).values(**columns).execution_options(synchronize_session=False))
    return only()


def said(letter: Message, what: str, **more) -> Event:
    return Event(more.pop("id", f"{letter.id.hex}-{what}"), reference(letter), what, **more)


def kept() -> list[Receipt]:
    db.session.rollback()
    return list(db.session.scalars(select(Receipt).order_by(Receipt.event_id)))


@pytest.mark.parametrize("order", list(itertools.permutations(ALL)))
def test_receipts_in_any_order_end_the_same(within, order):
    letter = a_letter()
    for what in order:
        record_receipts("gateway", [said(letter, what)])
    after = only()
    assert after.status == "delivered" and after.delivered_at is not None
    assert len(kept()) == 3


def test_a_batch_about_many_letters_is_carried_into_each(within):
    for row in booked(6):
        post(row, channels=("sms",))
    with transaction() as session:
        session.execute(update(Message).values(status="accepted", attempts=1, sent_at=db_now(session)))
    some = letters()
    events = [said(letter, "failed" if at % 3 == 0 else "delivered") for at, letter in enumerate(some)]
    assert record_receipts("gateway", events) == Taken(6, 0, 0)
    assert [only(id=letter.id).status for letter in some] == ["failed", "delivered", "delivered"] * 2


def test_a_failure_is_kept_with_its_reason_and_outranked_by_a_delivery_only(within):
    letter = a_letter()
    record_receipts("gateway", [said(letter, "failed", detail="absent subscriber")])
    after = only()
    assert (after.status, after.last_error) == ("failed", "receipt: absent subscriber")
    assert after.delivered_at is None
    record_receipts("gateway", [said(letter, "unknown")])
    assert only().status == "failed"
    record_receipts("gateway", [said(letter, "delivered")])
    record_receipts("gateway", [said(letter, "failed", id="later")])
    after = only()
    assert after.status == "delivered" and after.delivered_at is not None


def test_the_same_event_counts_once(within):
    letter = a_letter()
    event = said(letter, "delivered")
    assert record_receipts("gateway", [event, event]) == Taken(1, 0, 0)
    assert record_receipts("gateway", [event]) == Taken(0, 1, 0)
    assert record_receipts("alibaba", [event]) == Taken(1, 0, 0), "another provider's names are its own"
    assert sorted(row.provider for row in kept()) == ["alibaba", "gateway"]


@pytest.mark.parametrize("status", ["sending", "waiting"])
@pytest.mark.parametrize("what", ["delivered", "failed"])
def test_a_receipt_that_comes_before_the_sender_has_settled_ends_the_letter(within, status, what):
    letter = a_letter(status)
    record_receipts("gateway", [said(letter, what, provider_ref="g-7")])
    after = only()
    assert (after.status, after.lease_until, after.provider_ref) == (what, None, "g-7")
    assert after.provider == "gateway" and after.sent_at is not None


def test_a_letter_nobody_has_tried_yet_is_not_ended_by_a_receipt(within):
    letter = a_letter("waiting", attempts=0)
    record_receipts("gateway", [said(letter, "delivered")])
    assert only().status == "waiting"


@pytest.mark.parametrize("status", ["superseded", "suppressed", "expired"])
def test_a_late_receipt_about_a_letter_that_ended_otherwise_is_kept_and_harmless(within, status):
    letter = a_letter(status)
    assert record_receipts("gateway", [said(letter, what) for what in ALL]) == Taken(3, 0, 0)
    after = only()
    assert (after.status, after.delivered_at, after.last_error) == (status, None, "")
    assert len(kept()) == 3


def test_receipts_about_no_letter_of_ours_are_kept_and_counted(within):
    letter = a_letter()
    nobody = [
        Event("1", f"{letter.hospital_id}-{uuid.uuid4().hex}", "delivered"),
        Event("2", f"{letter.hospital_id + 1}-{letter.id.hex}", "delivered"),  # another hospital's
        Event("3", "what is this", "delivered"),
        Event("4", "", "failed"),
    ]
    assert record_receipts("gateway", nobody) == Taken(4, 0, 4)
    assert record_receipts("gateway", nobody) == Taken(0, 4, 0)
    assert only().status == "accepted"
    assert {(row.hospital_id, row.message_id) for row in kept()} == {(PLATFORM, NO_LETTER)}
    assert receipts.unknown_receipts(db.session()) == 4


def test_a_delivery_lies_between_the_sending_and_now_whatever_the_providers_clock_says(within, now):
    letter = a_letter()
    early, late = now().replace(year=2001), now().replace(year=2100)
    record_receipts("gateway", [said(letter, "delivered", said_at=early)])
    assert only().delivered_at == letter.sent_at
    record_receipts("gateway", [said(letter, "failed", id="x", said_at=late)])
    with transaction() as session:
        session.execute(update(Message).values(status="accepted"))
    record_receipts("gateway", [said(letter, "delivered", id="y", said_at=late)])
    assert letter.sent_at <= only().delivered_at <= now()


def test_receipts_go_when_their_letters_go(within, now):
    record_receipts("gateway", [said(a_letter(), "unknown")])
    assert receipts.remove_old() == 0
    now.shift(days=401)
    assert receipts.remove_old() == 1 and kept() == []


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.fixture
def door(app, client):
    """Post to the receipts' door as the gateway does."""
    app.config.update(SMS_CALLBACK_KEY=KEY, ALIBABA_CALLBACK_SECRET=KEY)

    def call(events, *, path="/receipts/gateway", key=KEY, age=0, body=None):
        body = json.dumps(events).encode() if body is None else body
        at = str(int(time.time()) - age)
        headers = {"X-Timestamp": at, "X-Signature": signature(key, at, body)}
        return client.post(path, data=body, content_type="application/json", headers=headers)

    return call


def item(letter: Message, what: str = "delivered") -> dict[str, str]:
    return {"event": f"{letter.id.hex}-{what}", "reference": reference(letter), "status": what}


def test_a_signed_batch_is_taken(within, door):
    letter = a_letter()
    answer = door(
        [item(letter, "failed"), item(letter), {"event": "9", "reference": "?", "status": "failed"}]
    )
    assert (answer.status_code, answer.json) == (200, {"kept": 3, "repeated": 0, "unknown": 1})
    assert only().status == "delivered"
    assert door([item(letter)]).json["repeated"] == 1
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("how", [{"key": "x" * 33}, {"age": 301}, {"age": -301}])
def test_a_bad_or_stale_signature_changes_nothing(within, door, how):
    letter = a_letter()
    answer = door([item(letter)], **how)
    assert answer.status_code == 401
    assert only().status == "accepted" and kept() == []


def test_the_signature_of_another_body_is_none(within, client, door):
    letter = a_letter()
    at = str(int(time.time()))
    headers = {"X-Timestamp": at, "X-Signature": signature(KEY, at, b"[]")}
    answer = client.post("/receipts/gateway", data=json.dumps([item(letter)]), headers=headers)
    assert answer.status_code == 401 and kept() == []


def test_a_provider_that_is_not_set_up_finds_no_door(within, door, app):
    for path in ("/receipts/tencent/", "/receipts/tencent/x", "/receipts/nobody"):
        assert door([], path=path).status_code == 404
    app.config["SMS_CALLBACK_KEY"] = ""
    assert door([], key="").status_code == 404


def test_alibaba_comes_by_its_secret_address(within, door, caplog):
    letter = a_letter()
    report = [{"success": True, "err_code": "DELIVERED", "biz_id": "b", "out_id": reference(letter)}]
    assert door(report, path="/receipts/alibaba").status_code == 401
    assert door(report, path="/receipts/alibaba/wrong").status_code == 401
    assert kept() == []
    answer = door(report, path=f"/receipts/alibaba/{KEY}")
    assert (answer.status_code, answer.json["code"]) == (200, 0)
    assert only().status == "delivered" and KEY not in caplog.text


def test_tencent_names_the_letter_by_its_own_name_and_the_phone(within, door, app, now):
    app.config["TENCENT_CALLBACK_SECRET"] = KEY
    letter, other = a_letter(), "+8613800130888"
    phone = blind_index("phone", other)
    report = {
        "mobile": other[3:],
        "nationcode": "86",
        "report_status": "SUCCESS",
        "errmsg": "DELIVRD",
        "sid": "2019:5",
    }

    def tell(minutes_ago: int, **more: str):
        at = local(now() - timedelta(minutes=minutes_ago), "Asia/Shanghai")
        return door(
            [report | {"user_receive_time": f"{at:%Y-%m-%d %H:%M:%S}"} | more],
            path=f"/receipts/tencent/{KEY}",
        )

    assert tell(1).status_code == 503, "its sender has not noted the name yet"
    assert kept() == []
    with transaction() as session:
        session.execute(update(Message).values(provider_ref="2019:5", to_hash=phone, provider="tencent"))
    answer = tell(1)
    assert (answer.status_code, answer.json["result"], answer.json["kept"]) == (200, 0, 1)
    assert only().status == "delivered" and kept()[0].message_id == letter.id
    assert tell(1, mobile="13800130889").status_code == 503, "the name alone is not enough"
    assert tell(20, sid="2019:6").json == {
        "result": 0,
        "errmsg": "OK",
        "kept": 1,
        "repeated": 0,
        "unknown": 1,
    }


def test_what_cannot_be_read_or_is_too_much_is_refused_and_changes_nothing(within, door):
    letter = a_letter()
    assert door(None, body=b"{").status_code == 400
    assert door([item(letter)] * 1001).status_code == 400
    assert door([item(letter) | {"detail": "x" * 300_000}]).status_code == 413
    assert kept() == [] and only().status == "accepted"


@pytest.mark.parametrize(("trouble", "status"), [("raise", 503), ("explode", 500)])
def test_a_secret_address_stands_in_no_log_when_something_breaks(
    within, door, caplog, tmp_path, trouble, status
):
    failpoints.arm(str(tmp_path))
    try:
        letter = a_letter()
        (tmp_path / "before_commit.1").write_text(trouble)
        report = [{"success": True, "err_code": "DELIVERED", "biz_id": "b", "out_id": reference(letter)}]
        assert door(report, path=f"/receipts/alibaba/{KEY}").status_code == status
    finally:
        failpoints.arm("")
    assert "receipts of alibaba" in caplog.text and KEY not in caplog.text
    assert only().status == "accepted" and kept() == []


def test_nothing_is_taken_by_a_link(within, client, door):
    assert client.get("/receipts/gateway").status_code == 405
