"""What providers call back with: read item by item, and nothing that cannot be meant."""

from __future__ import annotations

import json
import time

import pytest

from booking.notices import callbacks
from booking.notices.callbacks import NotReadable, is_genuine, receipts, signature, words

KEY = "key-of-a-test-that-is-long"
BODY = b'[{"event": "1"}]'


def genuine_with(provider: str, key: str, body: bytes, secret: str, headers: dict[str, str]) -> bool:
    said = {"stamp": headers.get("X-Timestamp", ""), "signed": headers.get("X-Signature", "")}
    return is_genuine(provider, key, body, secret=secret, **said)


def signed(at: int, body: bytes = BODY, key: str = KEY) -> dict[str, str]:
    return {"X-Timestamp": str(at), "X-Signature": signature(key, str(at), body)}


@pytest.mark.parametrize(
    ("headers", "body", "genuine"),
    [
        (lambda now: signed(now), BODY, True),
        (lambda now: signed(now - 200), BODY, True),
        (lambda now: signed(now - 400), BODY, False),
        (lambda now: signed(now + 400), BODY, False),
        (lambda now: signed(now), BODY + b" ", False),
        (lambda now: signed(now, key="another"), BODY, False),
        (lambda now: signed(now) | {"X-Timestamp": str(now - 7)}, BODY, False),
        (lambda now: signed(now) | {"X-Timestamp": "now"}, BODY, False),
        (lambda now: {"X-Timestamp": str(now)}, BODY, False),
        (lambda now: {}, BODY, False),
    ],
)
def test_the_gateway_signs_time_and_body(headers, body, genuine):
    headers = headers(int(time.time()))  # not when the tests are collected, which may be minutes before
    assert genuine_with("gateway", KEY, body, "", headers) is genuine
    assert not genuine_with("gateway", KEY, body, KEY, {}), "no secret in the path for it"
    assert not genuine_with("gateway", "", body, "", signed(int(time.time()), key=""))


@pytest.mark.parametrize("provider", ["alibaba", "tencent"])
def test_those_who_do_not_sign_come_by_a_secret_address(provider):
    for secret, genuine in ((KEY, True), ("", False), (KEY[:-1], False)):
        assert genuine_with(provider, KEY, BODY, secret, {}) is genuine
    assert not genuine_with(provider, "", BODY, "", {}), "without a setting it is closed"


def test_a_gateways_receipts_one_or_many():
    one = {
        "event": "e1",
        "reference": "1-" + "a" * 32,
        "status": "delivered",
        "at": "2026-11-02T08:00:00+08:00",
    }
    (event,) = receipts("gateway", json.dumps(one).encode())
    assert (event.id, event.said, f"{event.said_at:%H:%M %Z}") == ("e1", "delivered", "00:00 UTC")
    odd = [
        {**one, "status": "read"}, {**one, "event": ""}, {**one, "event": None}, {**one, "reference": ["1"]}, 7, None, "e1",
        {}, {**one, "status": True},
    ]  # fmt: skip
    assert receipts("gateway", json.dumps([*odd, one]).encode()) == [event]


def test_alibabas_report_as_documented():
    report = [
        {
            "phone_number": "13800130001",
            "send_time": "2026-11-02 08:00:00",
            "report_time": "2026-11-02 08:00:05",
            "success": True,
            "err_code": "DELIVERED",
            "err_msg": "用户接收成功",
            "sms_size": "1",
            "biz_id": "932702304080415357^0",
            "out_id": "3-" + "b" * 32,
        },
        {"success": False, "err_code": "MK:13800130001", "biz_id": "9", "out_id": "3-" + "c" * 32},
    ]
    good, bad = receipts("alibaba", json.dumps(report).encode())
    assert (good.reference, good.said, good.provider_ref) == (
        report[0]["out_id"],
        "delivered",
        "932702304080415357^0",
    )
    assert f"{good.said_at:%H:%M:%S}" == "00:00:05", "Alibaba's clock is Beijing's"
    assert (bad.said, bad.said_at, bad.detail) == ("failed", None, "MK:…")
    assert receipts("alibaba", json.dumps(report).encode())[0].id == good.id != bad.id
    assert callbacks.answer("alibaba")["code"] == 0


def test_tencents_report_as_documented():
    report = [
        {
            "user_receive_time": "2026-11-02 08:00:05",
            "nationcode": "86",
            "mobile": "13800130001",
            "report_status": "SUCCESS",
            "errmsg": "DELIVRD",
            "description": "用户短信送达成功",
            "sid": "2019:538686",
        },
        {"nationcode": "852", "mobile": "61234567", "report_status": "FAIL", "errmsg": "x", "sid": "2"},
    ]
    good, bad = receipts("tencent", json.dumps(report).encode())
    assert (good.phone, good.provider_ref, good.said) == ("+8613800130001", "2019:538686", "delivered")
    assert (bad.phone, bad.said) == ("+85261234567", "failed")
    assert callbacks.answer("tencent")["result"] == 0


def test_replies_of_all_three():
    (one,) = words("gateway", b'{"event": "r1", "from": "+8613800130001", "text": "Q1234"}')
    assert (one.id, one.phone, one.text) == ("r1", "+8613800130001", "Q1234")
    (one,) = words(
        "alibaba",
        json.dumps(
            [{"phone_number": "13800130001", "content": "T1234", "sequence_id": 77, "dest_code": "1"}]
        ).encode(),
    )
    assert (one.id, one.phone, one.text) == ("77", "+8613800130001", "T1234")
    said = {"mobile": "13800130001", "nationcode": "86", "text": "TD", "time": 1457336869, "extend": "1"}
    (one,) = words("tencent", json.dumps(said).encode())
    assert (one.phone, one.text, len(one.id)) == ("+8613800130001", "TD", 48)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, json.dumps([{}] * 1001).encode()])
def test_what_cannot_be_read_is_said(body):
    for read in (receipts, words):
        with pytest.raises(NotReadable):
            read("gateway", body)
