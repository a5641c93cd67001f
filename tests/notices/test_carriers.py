"""Every carrier against a far end that checks as the real one does: what arrives, and what each kind of trouble is called."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from contextlib import ExitStack

import pytest

import config
from booking.notices.approved import Approved
from booking.notices.senders.alibaba import alibaba
from booking.notices.senders.alibaba import signed as signed_v3
from booking.notices.senders.gateway import sms_gateway, voice_gateway
from booking.notices.senders.provider import NoText, Outgoing, Permanent, Rendered, Sent, Temporary
from booking.notices.senders.tencent import signed as signed_tc3
from booking.notices.senders.tencent import tencent
from booking.notices.senders.wechat import _tokens, wechat
from tests import far_ends, provider_ends, servers

CODE = Rendered(
    "验证码",
    "【青梧就医】验证码 246810，5 分钟内有效。不要告诉任何人。",
    template="code.sms",
    variables=(("code", "246810"),),
)
CODE_TEXT = "验证码 ${code}，5 分钟内有效。不要告诉任何人。"
PREPARE = Rendered(
    "准备",
    "【青梧就医】…",
    template="preparation.sms",
    variables=(("name", "李*"), ("preparation", "空腹来，" * 12)),
)
PHONE = "+8613800130042"
SECRETS = (PHONE, "13800130042", "246810")


@pytest.fixture
def settings():
    return vars(config.Testing()) | {"SMS_GATEWAY_KEY": "key-of-a-test", "SEND_TIMEOUT_SECONDS": 1}


@pytest.fixture
def until():
    with ExitStack() as open_until:
        yield open_until


def letters(count: int = 1, letter: Rendered = CODE, to: str = PHONE) -> list[Outgoing]:
    return [Outgoing(to, letter, f"7-{number:032x}") for number in range(count)]


def called(outcome) -> str:
    """The kind of an outcome, as one word."""
    if isinstance(outcome, Temporary):
        return "ambiguous" if outcome.ambiguous else "ours" if outcome.ours else "later"
    return "refused" if isinstance(outcome, Permanent) else outcome.status


def tells_nobody(outcomes, caplog) -> bool:
    """Whether neither the reasons nor the log name a number or a code."""
    said = caplog.text + "".join(getattr(one, "why", "") for one in outcomes)
    return not any(secret in said for secret in SECRETS)


# --- the plain gateway -----------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(settings):
    with far_ends.sms_gateway() as gateway:
        settings["SMS_GATEWAY_URL"] = gateway.url
        yield gateway


def test_a_hundred_letters_go_in_one_request(settings, until, gateway):
    requests = []
    gateway.on_call = lambda: requests.append(1)
    provider = sms_gateway(settings, until)
    outcomes = provider.send(letters(provider.at_once))
    assert provider.at_once == 100 == len(gateway.phones)
    assert len(requests) == 1
    assert outcomes == [Sent("accepted", f"g-{one.reference[:8]}", 1) for one in letters(100)]


def test_each_letter_of_a_batch_has_its_own_outcome(settings, until, gateway):
    gateway.mode = "partly"
    outcomes = sms_gateway(settings, until).send(letters(4))
    assert [called(one) for one in outcomes] == ["accepted", "later", "accepted", "later"]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("500", "later"),
        ("503", "later"),
        ("429", "later"),
        ("502", "ambiguous"),
        ("504", "ambiguous"),
        ("401", "ours"),
        ("403", "ours"),
        ("404", "ours"),
        ("302", "ours"),
        ("400", "refused"),
        ("422", "refused"),
        ("error", "later"),
        ("odd", "ambiguous"),
        ("drop", "ambiguous"),
        ("slow", "ambiguous"),
        ("hang", "ambiguous"),
        ("refuse", "later"),
    ],
)
def test_what_trouble_is_called(settings, until, gateway, caplog, mode, name):
    gateway.mode = mode
    provider = sms_gateway(settings, until)
    with caplog.at_level(logging.DEBUG):
        outcomes = provider.send(letters(3))
    assert [called(one) for one in outcomes] == [name] * 3
    assert tells_nobody(outcomes, caplog)


def test_what_a_gateway_asks_to_wait(settings, until, gateway):
    gateway.mode, gateway.retry_after = "429", "77"
    (outcome,) = sms_gateway(settings, until).send(letters())
    assert outcome.wait == 77


class Checking(provider_ends.FarEnd):
    """A gateway as docs/gateway.md asks for: signature, time, and a nonce only once. `bad` references are refused with 400,
    `forgets` are not named in the answer, `says` replaces it."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key, self.nonces, self.bad, self.forgets = key, set(), set(), set()
        self.says = None

    def answer(self, path, headers, body):
        stamp, nonce = headers["x-timestamp"], headers["x-nonce"]
        mac = hmac.new(self.key.encode(), f"{stamp}.{nonce}.".encode() + body, hashlib.sha256).hexdigest()
        if headers["x-signature"] != f"sha256={mac}" or abs(time.time() - int(stamp)) > 300:
            return 401, {}
        if nonce in self.nonces:
            return 401, {"error": "replayed"}
        self.nonces.add(nonce)
        asked = json.loads(body)
        if any(one["reference"] in self.bad for one in asked):
            return 400, {}
        if self.says is not None:
            return 200, self.says
        self.taken += asked
        return 200, [
            {"reference": one["reference"], "status": "accepted", "segments": 2}
            for one in reversed(asked)
            if one["reference"] not in self.forgets
        ]


@pytest.fixture
def checking(settings):
    with provider_ends.running(Checking("key-of-a-test")) as checking:
        settings["SMS_GATEWAY_URL"] = settings["VOICE_GATEWAY_URL"] = checking.url + "/send"
        settings["VOICE_GATEWAY_KEY"] = "key-of-a-test"
        yield checking


def test_a_captured_request_is_worth_nothing(settings, until, checking):
    provider = sms_gateway(settings, until)
    assert called(provider.send(letters())[0]) == called(provider.send(letters())[0]) == "accepted"
    once = checking.asked[0]
    assert checking.answer(once["path"], once["headers"], once["body"])[0] == 401
    newer = once["headers"] | {"x-nonce": "0" * 32}
    assert checking.answer(once["path"], newer, once["body"])[0] == 401
    assert len(checking.taken) == 2


def test_another_key_is_refused_as_our_mistake(settings, until, checking):
    settings["SMS_GATEWAY_KEY"] = "another"
    (outcome,) = sms_gateway(settings, until).send(letters())
    assert called(outcome) == "ours" and checking.taken == []


def test_the_bad_letter_of_a_batch_is_found_and_the_others_go(settings, until, checking):
    batch = letters(9)
    checking.bad = {batch[5].reference}
    outcomes = sms_gateway(settings, until).send(batch)
    assert [called(one) for one in outcomes] == ["accepted"] * 5 + ["refused"] + ["accepted"] * 3
    assert len(checking.taken) == 8


def test_a_letter_the_answer_does_not_name_may_have_been_taken(settings, until, checking):
    batch = letters(3)
    checking.forgets = {batch[1].reference}
    outcomes = sms_gateway(settings, until).send(batch)
    assert [called(one) for one in outcomes] == ["accepted", "ambiguous", "accepted"]
    assert outcomes[0].segments == 2


@pytest.mark.parametrize(
    ("says", "name"),
    [
        ({"error": "balance of +8613800130042 is used up"}, "later"),
        ({"code": 17, "message": "closed"}, "later"),
        ({"reference": "R", "status": "refused", "error": "no such number 13800130042"}, "refused"),
        ({"reference": "R", "status": "later", "wait": 30}, "later"),
        ({"reference": "R", "status": "posted"}, "ambiguous"),
        ({"id": "g-1"}, "accepted"),
        ([], "ambiguous"),
        ([7], "ambiguous"),
        ("fine", "ambiguous"),
        (None, "accepted"),
    ],
)
def test_answers_of_200(settings, until, checking, caplog, says, name):
    (one,) = letters()
    if isinstance(says, dict) and "reference" in says:
        says = says | {"reference": one.reference}
    checking.says = says
    (outcome,) = sms_gateway(settings, until).send([one])
    assert called(outcome) == name
    assert tells_nobody([outcome], caplog)
    if isinstance(says, dict) and says.get("wait"):
        assert outcome.wait == 30


def test_a_call_goes_over_the_same_protocol(settings, until, checking):
    provider = voice_gateway(settings, until)
    assert (provider.name, provider.channel) == ("voice", "voice")
    assert provider.send(letters()) == [Sent("accepted")]
    assert checking.taken[0]["kind"] == "voice" and checking.taken[0]["to"] == PHONE


# --- Alibaba Cloud ---------------------------------------------------------------------------------------------------


APPROVED = Approved(
    {
        "alibaba": {"code.sms": "SMS_1", "preparation.sms": "SMS_2"},
        "tencent": {"code.sms": "11", "preparation.sms": "12"},
    }
)


@pytest.fixture
def ali(settings):
    with provider_ends.running(provider_ends.Alibaba({"SMS_1": CODE_TEXT})) as ali:
        settings |= {
            "ALIBABA_KEY_ID": ali.key_id,
            "ALIBABA_KEY_SECRET": ali.secret,
            "ALIBABA_SMS_URL": ali.url,
            "SMS_SIGNATURE": "青梧就医",
        }
        yield ali


def test_alibaba_sends_the_approved_template_and_it_reads_as_our_text(settings, until, ali):
    outcomes = alibaba(settings, APPROVED, until).send(letters(12))
    assert [called(one) for one in outcomes] == ["accepted"] * 12
    assert {one.provider_ref for one in outcomes} == {f"9006-{number}" for number in range(1, 13)}
    assert {taken["text"] for taken in ali.taken} == {CODE.text}
    assert {taken["OutId"] for taken in ali.taken} == {one.reference for one in letters(12)}
    assert outcomes[0].segments == 1


@pytest.mark.parametrize(
    ("code", "message", "name", "wait"),
    [
        ("isv.MOBILE_NUMBER_ILLEGAL", "", "refused", 0),
        ("isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1", "later", 60),
        ("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", "later", 3600),
        ("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10", "later", 86400),
        ("isv.DAY_LIMIT_CONTROL", "", "ours", 0),
        ("isv.SMS_SIGNATURE_ILLEGAL", "", "ours", 0),
        ("isv.SMS_TEMPLATE_ILLEGAL", "", "ours", 0),
        ("isv.TEMPLATE_MISSING_PARAMETERS", "", "ours", 0),
        ("isv.TEMPLATE_PARAMS_ILLEGAL", "", "refused", 0),
        ("isv.OUT_OF_SERVICE", "", "ours", 0),
        ("isp.RAM_PERMISSION_DENY", "", "ours", 0),
        ("isp.SYSTEM_ERROR", "", "later", 0),
        ("Throttling.User", "", "later", 2),
    ],
)
def test_what_alibaba_says(settings, until, ali, caplog, code, message, name, wait):
    ali.code, ali.message = code, message
    outcomes = alibaba(settings, APPROVED, until).send(letters())
    assert called(outcomes[0]) == name
    assert getattr(outcomes[0], "wait", 0) == wait
    assert getattr(outcomes[0], "this_letter", False) == (
        ("LIMIT_CONTROL" in code and "DAY_" not in code) or ("TEMPLATE_" in code and name != "refused")
    )
    assert tells_nobody(outcomes, caplog)


@pytest.mark.parametrize(("mode", "name"), [("drop", "ambiguous"), ("odd", "ambiguous"), ("503", "later")])
def test_alibaba_in_trouble(settings, until, ali, caplog, mode, name):
    ali.mode = mode
    with caplog.at_level(logging.DEBUG):
        outcomes = alibaba(settings, APPROVED, until).send(letters(2))
    assert [called(one) for one in outcomes] == [name] * 2
    assert tells_nobody(outcomes, caplog)


def test_alibaba_not_reached_took_nothing(settings, until):
    settings |= {"ALIBABA_KEY_ID": "k", "ALIBABA_KEY_SECRET": "s"}
    settings["ALIBABA_SMS_URL"] = f"http://127.0.0.1:{servers.free_port()}"
    (outcome,) = alibaba(settings, APPROVED, until).send(letters())
    assert called(outcome) == "later"


def test_a_wrong_key_is_our_mistake(settings, until, ali):
    settings["ALIBABA_KEY_SECRET"] = "another"
    (outcome,) = alibaba(settings, APPROVED, until).send(letters())
    assert called(outcome) == "ours" and ali.taken == []


def test_a_number_that_is_none_is_refused(settings, until, ali):
    (outcome,) = alibaba(settings, APPROVED, until).send(letters(to="+861234"))
    assert called(outcome) == "refused"


def test_a_text_that_was_never_filed_is_not_asked_for(settings, until, ali):
    unfiled = Rendered("改约", "【青梧就医】…", template="moved.sms", variables=())
    (outcome,) = alibaba(settings, APPROVED, until).send(letters(letter=unfiled))
    assert called(outcome) == "ours" and "moved.sms" in outcome.why
    assert ali.asked == []


def test_half_a_preparation_is_not_sent(settings, until, ali):
    (outcome,) = alibaba(settings, APPROVED, until).send(letters(letter=PREPARE))
    assert called(outcome) == "ours" and "preparation" in outcome.why
    assert ali.asked == []


def test_a_long_name_is_cut_to_what_carriers_take():
    long = Rendered("", "", template="confirmed.sms", variables=(("place", "青" * 40), ("when", "今天")))
    assert APPROVED.values(long) == [("place", "青" * 34 + "…"), ("when", "今天")]


def test_the_signature_of_alibabas_own_example():
    """The example of https://help.aliyun.com/document_detail/2593177.html, signed by their rules for their values."""
    headers = signed_v3(
        "YourAccessKeyId",
        "YourAccessKeySecret",
        "https://ecs.cn-shanghai.aliyuncs.com",
        "RunInstances",
        "2014-05-26",
        "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
        at="2023-10-26T10:22:32Z",
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert headers["Authorization"].endswith(
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


# --- Tencent Cloud ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tc(settings):
    with provider_ends.running(
        provider_ends.Tencent({"11": "验证码 {1}，5 分钟内有效。不要告诉任何人。"})
    ) as tc:
        settings |= {
            "TENCENT_SECRET_ID": tc.key_id,
            "TENCENT_SECRET_KEY": tc.secret,
            "TENCENT_SMS_APP_ID": tc.app,
            "TENCENT_SMS_URL": tc.url,
            "SMS_SIGNATURE": "青梧就医",
        }
        yield tc


def test_tencent_sends_the_approved_template_and_it_reads_as_our_text(settings, until, tc):
    outcomes = tencent(settings, APPROVED, until).send(letters(12))
    assert [called(one) for one in outcomes] == ["accepted"] * 12
    assert {taken["text"] for taken in tc.taken} == {CODE.text}
    assert {taken["SessionContext"] for taken in tc.taken} == {one.reference for one in letters(12)}
    assert {one.segments for one in outcomes} == {1} and outcomes[0].provider_ref.startswith("5000:")


@pytest.mark.parametrize(
    ("code", "name", "wait"),
    [
        ("InvalidParameterValue.IncorrectPhoneNumber", "refused", 0),
        ("FailedOperation.PhoneNumberInBlacklist", "refused", 0),
        ("LimitExceeded.PhoneNumberThirtySecondLimit", "later", 30),
        ("LimitExceeded.PhoneNumberOneHourLimit", "later", 3600),
        ("LimitExceeded.PhoneNumberDailyLimit", "later", 86400),
        ("FailedOperation.SignatureIncorrectOrUnapproved", "ours", 0),
        ("FailedOperation.TemplateIncorrectOrUnapproved", "ours", 0),
        ("FailedOperation.ContainSensitiveWord", "refused", 0),
        ("FailedOperation.InsufficientBalanceInSmsPackage", "ours", 0),
        ("InternalError.SigVerificationFail", "ours", 0),
        ("InternalError.OtherError", "later", 0),
        ("InternalError.Timeout", "ambiguous", 0),
    ],
)
def test_what_tencent_says_of_a_number(settings, until, tc, caplog, code, name, wait):
    tc.code = code
    outcomes = tencent(settings, APPROVED, until).send(letters())
    assert called(outcomes[0]) == name
    assert getattr(outcomes[0], "wait", 0) == wait
    assert getattr(outcomes[0], "this_letter", False) == (
        code.startswith("LimitExceeded") or "TemplateIn" in code
    )
    assert tells_nobody(outcomes, caplog)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("RequestLimitExceeded", "later"),
        ("UnauthorizedOperation.RequestPermissionDeny", "ours"),
        ("InternalError", "later"),
    ],
)
def test_what_tencent_says_of_a_request(settings, until, tc, error, name):
    tc.error = error
    (outcome,) = tencent(settings, APPROVED, until).send(letters())
    assert called(outcome) == name and tc.taken == []


@pytest.mark.parametrize(("mode", "name"), [("drop", "ambiguous"), ("odd", "ambiguous"), ("500", "later")])
def test_tencent_in_trouble(settings, until, tc, mode, name):
    tc.mode = mode
    (outcome,) = tencent(settings, APPROVED, until).send(letters())
    assert called(outcome) == name


def test_a_wrong_tencent_key_is_our_mistake(settings, until, tc):
    settings["TENCENT_SECRET_KEY"] = "another"
    (outcome,) = tencent(settings, APPROVED, until).send(letters())
    assert called(outcome) == "ours" and tc.taken == []


def test_the_signature_tencents_own_package_makes():
    """Made once with the signing function of tencentcloud-sdk-python-common 3.1.195 for these values."""
    headers = signed_tc3(
        "AKIDEXAMPLE", "secret", "https://sms.tencentcloudapi.com", "SendSms", b"{}", at=1700000000
    )
    assert headers["Authorization"].endswith(
        "Signature=7638dc1bdee03a7a6c0534342d43d8231f92fa90741cc22e2b687b0023eaad84"
    )


# --- WeChat ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def wx(settings, tmp_path):
    file = tmp_path / "wechat.toml"
    file.write_text(
        '[confirmed]\nid = "T1"\n[confirmed.fields]\ntime2 = "time"\nthing5 = "place"\nname1 = "doctor"\n'
    )
    _tokens.clear()
    with provider_ends.running(provider_ends.Wechat()) as wx:
        settings |= {
            "WECHAT_APP_ID": wx.app,
            "WECHAT_APP_SECRET": wx.secret,
            "WECHAT_TEMPLATES": str(file),
            "WECHAT_URL": wx.url,
        }
        yield wx


VISIT = Rendered(
    "预约成功",
    "…",
    template="confirmed.wechat",
    variables=(("time", "2026年11月25日 08:30"), ("place", "青梧市第一医院" * 4), ("doctor", "沈知远")),
)


def test_wechat_fills_the_templates_fields(settings, until, wx):
    outcomes = wechat(settings, until).send(letters(5, VISIT, "o-li"))
    assert [called(one) for one in outcomes] == ["accepted"] * 5
    assert wx.handed_out == 1, "one token serves all"
    sent = wx.taken[0]
    assert (sent["touser"], sent["template_id"], sent["path"]) == (
        "o-li",
        "T1",
        "/cgi-bin/message/subscribe/send",
    )
    assert sent["data"]["time2"] == {"value": "2026年11月25日 08:30"}
    assert sent["data"]["thing5"]["value"].endswith("…") and len(sent["data"]["thing5"]["value"]) == 20


def test_a_service_account_sends_template_messages(settings, until, wx):
    settings["WECHAT_KIND"] = "template"
    wechat(settings, until).send(letters(1, VISIT, "o-li"))
    assert wx.taken[0]["path"] == "/cgi-bin/message/template/send"
    assert wx.taken[0]["client_msg_id"] == f"{0:032x}"


def test_a_token_that_ended_is_replaced_once(settings, until, wx):
    provider = wechat(settings, until)
    provider.send(letters(1, VISIT, "o-li"))
    wx.forget()  # another machine asked for a new one
    assert called(provider.send(letters(1, VISIT, "o-li"))[0]) == "accepted"
    assert (wx.handed_out, len(wx.taken)) == (2, 2)
    wx.stuck = True
    asked = len(wx.asked)
    (outcome,) = provider.send(letters(1, VISIT, "o-li"))
    assert called(outcome) == "ours"
    sends = [one for one in wx.asked[asked:] if "subscribe" in one["path"]]
    assert len(sends) == 2, "refused, a new token, refused again, and no more"


@pytest.mark.parametrize(
    ("errcode", "name"),
    [(40003, "refused"), (-1, "later"), (45009, "later"), (47003, "ours"), (40037, "ours")],
)
def test_what_wechat_says(settings, until, wx, errcode, name):
    wx.errcode = errcode
    (outcome,) = wechat(settings, until).send(letters(1, VISIT, "o-li"))
    assert called(outcome) == name


def test_who_said_no_is_not_asked_again(settings, until, wx):
    wx.refused = {"o-li"}
    (outcome,) = wechat(settings, until).send(letters(1, VISIT, "o-li"))
    assert called(outcome) == "refused" and "43101" in outcome.why


def test_a_wrong_secret_is_our_mistake(settings, until, wx):
    settings["WECHAT_APP_SECRET"] = "another"
    (outcome,) = wechat(settings, until).send(letters(1, VISIT, "o-li"))
    assert called(outcome) == "ours" and wx.taken == []


def test_no_log_has_the_token_or_the_person(settings, until, wx, caplog):
    with caplog.at_level(logging.DEBUG):
        outcomes = wechat(settings, until).send(letters(2, VISIT, "o-li"))
    assert wx.token and wx.token not in caplog.text and "o-li" not in caplog.text
    assert [called(one) for one in outcomes] == ["accepted"] * 2


def test_a_kind_without_a_template_cannot_go(settings, until, wx):
    other = Rendered("x", "x", template="moved.wechat")
    (outcome,) = wechat(settings, until).send(letters(1, other, "o-li"))
    assert isinstance(outcome, NoText) and wx.asked == []


def test_an_empty_word_is_said_to_be_none(settings, until, wx):
    nowhere = Rendered(
        "x",
        "x",
        template="confirmed.wechat",
        variables=(*VISIT.variables[:1], ("place", ""), *VISIT.variables[2:]),
    )
    outcomes = wechat(settings, until).send(letters(2, nowhere, "o-li"))
    assert [called(one) for one in outcomes] == ["accepted"] * 2
    assert wx.taken[0]["data"]["thing5"] == {"value": "无"}
