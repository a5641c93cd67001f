"""What carriers are told about our short messages: every text is described, fits, and is what we send."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

import config
from booking import app as application
from booking.notices import short_text
from booking.notices.approved import Approved, Unreadable, Word, approved, described, read, wechat_templates
from booking.notices.short_text import short_message, take_apart
from booking.notices.template_check import filled, kinds, problems, variants
from tests.conftest import new_app

WORDS = {
    "site": "青梧就医",
    "near": "明天",
    "when": "11 月 25 日 周三 上午 08:30",
    "place": "青梧市第一医院东院区",
    "department": "呼吸内科",
    "doctor": "沈知远",
    "room": "",
    "desk": "",
    "name": "李*",
    "code": "1000 0000",
    "deadline": "11 月 24 日 17:00",
    "phone": "0571-000-0100",
}


@pytest.fixture(scope="module")
def plain():
    """An application without a database: sentences need none."""
    app = new_app("sqlite:///unused.db")
    with app.app_context():
        yield app


def wrong(app, description=None, filed=None, **settings):
    with app.app_context():
        return problems(app.config | settings, description or described(), filed)


def changed(name: str, **values):
    """The description with one template changed."""
    found = described()
    templates = tuple(replace(one, **values) if one.name == name else one for one in found.templates)
    return replace(found, templates=templates, names={one.text: one.name for one in templates})


def with_word(name: str, word: Word):
    return replace(described(), words=described().words | {name: word})


# --- what stands in the tree -----------------------------------------------------------------------------------------


def test_every_text_of_every_kind_is_described_and_fits(plain):
    assert wrong(plain) == []
    named = {one.name.partition(".")[0] for one in described().templates}
    assert named == set(kinds()) and len(named) >= 16


def test_a_letter_goes_by_the_name_it_is_described_under(plain):
    letter = short_message("预约成功", "confirmed", WORDS)
    assert letter.template == "confirmed.sms/deadline"
    assert letter.text == (
        "【青梧就医】明天 11 月 25 日 周三 上午 08:30，青梧市第一医院东院区，呼吸内科沈知远医生。李*已预约成功，预约码 1000 0000。"
        "最晚取消时间：11 月 24 日 17:00，取消打电话 0571-000-0100。"
    )
    assert letter.variables == (
        ("when", "明天 11 月 25 日 周三 上午 08:30"),
        ("place", "青梧市第一医院东院区"),
        ("doctor", "呼吸内科沈知远"),
        ("name", "李*"),
        ("code", "1000 0000"),
        ("deadline", "11 月 24 日 17:00"),
        ("phone", "0571-000-0100"),
    )
    assert (
        short_message("", "confirmed", WORDS | {"room": "302 诊室"}).template == "confirmed.sms/deadline+room"
    )


def test_filed_text_and_variables_make_the_text_again(plain):
    for kind in kinds():
        for one in variants(kind, described()):
            text = one.filed.replace("{site}", "x").replace("{host}", "x")
            for name, value in one.example.variables:
                text = text.replace(f"${{{name}}}", value)
            assert f"【x】{text}" == one.example.text, one.name
            assert not re.search(r"\}\s*\$\{", one.filed), f"{one.name}: two variables side by side"
            names = re.findall(r"\$\{(\w+)\}", one.filed)
            assert len(set(names)) == len(names), f"{one.name}: a variable twice"
            assert not set(names) & {"email", "mobile", "id", "nick", "site"}


def test_a_word_that_happens_to_look_like_a_place_stays_a_word(plain):
    taken = take_apart("confirmed", WORDS | {"doctor": "${when} {site}"})
    assert "呼吸内科${when} {site}医生" in taken.text
    assert taken.filed == take_apart("confirmed", WORDS).filed


def test_letters_with_the_same_words_there_share_a_shape_and_nothing_else(plain):
    first = short_message("", "draw_lost", WORDS | {"hospital": "甲医院", "entries": 0, "places": 3})
    second = short_message(
        "", "draw_lost", WORDS | {"hospital": "乙医院", "entries": 41, "places": 0, "name": "王*"}
    )
    assert "甲医院" in first.text and "（0 人报名，3 个号）" in first.text and "李*" in first.text
    assert "乙医院" in second.text and "（41 人报名，0 个号）" in second.text and "王*" in second.text
    assert first.template == second.template == "draw_lost.sms"
    moved = WORDS | {"old_short": "11 月 24 日 10:00"}
    assert short_message("", "moved", moved | {"by_hospital": True}).template == "moved.sms/by_hospital"
    assert short_message("", "moved", moved | {"by_hospital": False}).template == "moved.sms"


# --- what a check finds ----------------------------------------------------------------------------------------------


def test_a_changed_sentence_is_found(plain):
    (said,) = wrong(plain, changed("code.sms", text="验证码 ${code}。"))
    assert said.startswith("code.sms: the text has changed")


def test_a_text_that_nobody_described_and_one_that_is_gone_are_found(plain):
    found = described()
    fewer = replace(found, templates=tuple(one for one in found.templates if one.name != "code.sms"))
    assert [one.partition(":")[0] for one in wrong(plain, fewer)] == ["code.sms"]
    more = replace(
        found, templates=(*found.templates, replace(found.templates[0], name="old.sms", text="旧"))
    )
    assert wrong(plain, more) == ["old.sms is described, but no sentence becomes it."]


def test_a_word_that_is_not_described_is_found(plain):
    found = described()
    words = {name: word for name, word in found.words.items() if name != "deadline"}
    said = wrong(plain, replace(found, words=words))
    assert any("'deadline'" in one and "confirmed.sms.txt" in one for one in said)


def test_a_variable_longer_than_carriers_take_is_found(plain):
    said = wrong(plain, with_word("place", Word("青梧市第一医院", 36, "others")))
    assert any("${place} may have 36 signs, carriers take 35." in one for one in said)
    assert any("carriers take 12." in one for one in wrong(plain, SMS_LONGEST_VARIABLE=12))


def test_words_side_by_side_count_together(plain):
    said = wrong(plain, with_word("department", Word("消化内科", 24, "others")))
    assert any("${doctor} may have 36 signs" in one for one in said)


def test_a_text_longer_than_described_is_found(plain):
    said = wrong(plain, changed("confirmed.sms", segments=1))
    assert said == ["confirmed.sms can take 3 short messages, described are 1."]


@pytest.mark.parametrize(
    ("sort", "example"),
    [
        ("numberCaptcha", "1000 0000"),
        ("phone_number2", "电话"),
        ("other_number2", "第 3 位"),
        ("riddle", "x"),
    ],
)
def test_a_value_of_another_sort_is_found(plain, sort, example):
    assert any(sort in one for one in wrong(plain, with_word("reason", Word(example, 20, sort))))


@pytest.mark.parametrize("signature", ["", "【青梧就医】", "一", "青梧就医青梧就医青梧就医青"])
def test_a_signature_must_be_set_and_may_be_one(plain, signature):
    assert any("SMS_SIGNATURE" in one for one in wrong(plain, SMS_SIGNATURE=signature))


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("详见 https://elsewhere.example.org/a", True),
        ("详见 www.elsewhere.cn", True),
        ("详见 elsewhere.cn/a", True),
        ("详见elsewhere.cn", True),
        ("详见 https://elsewhere.cn/book.example.org", True),
        ("详见 book.example.org/a 和 book.example.org/b", True),
        ("详见 book.example.org/a", False),
        ("详见我的预约", False),
    ],
)
def test_one_short_link_of_our_own_is_all(plain, monkeypatch, sentence, found):
    source = plain.jinja_env.loader.get_source

    def with_link(env, name):
        text, *rest = source(env, name)
        return (text + "\n" + sentence if name == "notices/code.sms.txt" else text, *rest)

    monkeypatch.setattr(plain.jinja_env.loader, "get_source", with_link)
    # both keep the sentences as they stand
    monkeypatch.setattr(plain.jinja_env, "cache", None)
    monkeypatch.setattr(short_text, "_shape", short_text._shape.__wrapped__)
    with plain.app_context():
        (one,) = variants("code", described())
        said = problems(
            plain.config | {"PUBLIC_URL": "https://book.example.org"},
            changed("code.sms", text=one.filed),
            None,
        )
    assert any("has a link" in each for each in said) == found


def test_an_offer_is_filed_with_the_link_of_this_installation(plain):
    with plain.app_context():
        (one, _pair) = variants("wish_offer", described())
        asked = plain.config | {"PUBLIC_URL": "https://yy.example.org/q"}
        assert "请点 yy.example.org/q/w/${link} 确认" in filled(one.filed, {}, asked)
    assert wrong(plain, PUBLIC_URL="https://yy.example.org") == []
    assert wrong(plain, PUBLIC_URL=f"https://{'a' * 18}.example.org") == [], "thirty signs"
    said = wrong(plain, PUBLIC_URL=f"https://{'a' * 19}.example.org")
    assert said[0] == "PUBLIC_URL has an address of 31 signs; the links of short messages have room for 30."


@pytest.mark.parametrize(
    ("before", "after"), [("{{ host }}/w/{{ link }}", "网页"), (" 确认", "确认"), ("/w/", "/")]
)
def test_an_offer_without_its_link_is_found(plain, monkeypatch, before, after):
    source = plain.jinja_env.loader.get_source

    def changed_source(env, name):
        text, *rest = source(env, name)
        return (text.replace(before, after) if name == "notices/wish_offer.sms.txt" else text, *rest)

    monkeypatch.setattr(plain.jinja_env.loader, "get_source", changed_source)
    # both keep the sentences as they stand
    monkeypatch.setattr(plain.jinja_env, "cache", None)
    monkeypatch.setattr(short_text, "_shape", short_text._shape.__wrapped__)
    with plain.app_context():
        (one, _pair) = variants("wish_offer", described())
        said = problems(plain.config, changed("wish_offer.sms", text=one.filed), None)
    assert any(each.startswith("wish_offer.sms lacks its link: {{ host }}/w/{{ link }}") for each in said)


def test_what_carriers_have_not_approved_is_found(plain):
    ids = {one.name: "SMS_1" for one in described().templates}
    settings = {"SMS_PROVIDERS": ["gateway", "alibaba"]}
    assert wrong(plain, filed=Approved({"alibaba": ids}), **settings) == []
    ids.pop("code.sms")
    (said,) = wrong(plain, filed=Approved({"alibaba": ids}), **settings)
    assert "alibaba" in said and "1 of" in said and "code.sms" in said


# --- at the start ----------------------------------------------------------------------------------------------------


def production(monkeypatch, **values):
    """Settings of a production that would start."""
    safe = {
        "APP_ENV": "production",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "FIELD_KEYS": "k1:" + "a1" * 32,
        "DATABASE_URL": "postgresql://booking@127.0.0.1/booking",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "PUBLIC_URL": "https://book.example.org",
        "HELP_PHONE": "0571-0000-0000",
        "SMS_PROVIDERS": "alibaba",
        "ALIBABA_KEY_ID": "k",
        "ALIBABA_KEY_SECRET": "s",
    }
    for name, value in (safe | values).items():
        monkeypatch.setenv(name, value)
    return config.from_environment()


def ids_file(tmp_path, names) -> str:
    file = tmp_path / "ids.toml"
    file.write_text(
        "[alibaba]\n" + "".join(f'"{name}" = "SMS_{number}"\n' for number, name in enumerate(names))
    )
    return str(file)


def checked(settings):
    app = new_app("sqlite:///unused.db")
    app.config.from_object(settings)
    application._ensure_templates(app)


def test_production_starts_when_everything_is_filed(monkeypatch, tmp_path):
    names = [one.name for one in described().templates]
    checked(production(monkeypatch, SMS_TEMPLATE_IDS=ids_file(tmp_path, names)))


@pytest.mark.parametrize("broken", ["missing", "not toml [", "", "one"])
def test_production_refuses_what_is_not_filed(monkeypatch, tmp_path, broken):
    file = ids_file(tmp_path, ["code.sms"])
    if broken == "missing":
        file = str(tmp_path / "elsewhere.toml")
    elif broken != "one":
        (tmp_path / "ids.toml").write_text(broken)
    with pytest.raises(config.Refused) as refused:
        checked(production(monkeypatch, SMS_TEMPLATE_IDS=file))
    assert "SMS_TEMPLATE_IDS" in str(refused.value) and str(refused.value).endswith(".")


def test_a_plain_gateway_asks_for_no_filing(monkeypatch):
    checked(
        production(
            monkeypatch,
            SMS_PROVIDERS="gateway",
            SMS_GATEWAY_URL="https://sms.example.org",
            SMS_GATEWAY_KEY="0123456789abcdef01234567",
            ALIBABA_KEY_ID="",
            ALIBABA_KEY_SECRET="",
        )
    )


@pytest.mark.parametrize("text", ["[", "[words]\nx = 1", "[words.x]\nexample = 'a'"])
def test_a_description_nobody_can_read_is_said(text):
    with pytest.raises(Unreadable, match="cannot be read"):
        read(text)


def test_a_wechat_template_names_words_that_letters_have(tmp_path):
    file = tmp_path / "wechat.toml"
    file.write_text('[confirmed]\nid = "T"\n[confirmed.fields]\nthing1 = "diagnosis"\n')
    with pytest.raises(Unreadable, match="diagnosis"):
        wechat_templates(str(file))
    assert wechat_templates("") == {}


def test_ids_are_read_by_carrier(tmp_path):
    settings = {"SMS_TEMPLATE_IDS": ids_file(tmp_path, ["code.sms"]), "SMS_LONGEST_VARIABLE": 20}
    assert approved(settings).id_of("alibaba", "code.sms") == "SMS_0"
    assert approved(settings).longest == 20


# --- for filing ------------------------------------------------------------------------------------------------------


def asked(app, *arguments):
    return app.test_cli_runner().invoke(args=["notices", "templates", *arguments])


def test_the_texts_are_printed_for_filing(plain):
    done = asked(plain)
    assert done.exit_code == 0, done.output
    assert "code.sms  (验证码, 1 条)\n  验证码 ${code}，5 分钟内有效。不要告诉任何人。" in done.output
    assert "例：【青梧就医】验证码 123456，5 分钟内有效。不要告诉任何人。" in done.output


def test_tencent_numbers_its_places(plain):
    rows = json.loads(asked(plain, "--carrier", "tencent", "--format", "json").output)
    (row,) = [row for row in rows if row["name"] == "confirmed.sms"]
    assert re.findall(r"\{\d\}", row["text"]) == [f"{{{number}}}" for number in range(1, 7)]
    assert [place["name"] for place in row["variables"]][:3] == ["when", "place", "doctor"]
    assert row["messages"] == 2


def test_a_table_for_filing(plain):
    rows = list(csv.DictReader(io.StringIO(asked(plain, "--format", "csv").output)))
    assert len(rows) == len(described().templates)
    assert all(row["text"] and row["example"] for row in rows)


def test_writing_changes_nothing_while_the_sentences_stand(plain):
    from booking.cli.notices import _written
    from booking.notices.approved import DESCRIBED

    text = DESCRIBED.read_text(encoding="utf-8")
    with plain.app_context():
        assert _written(text, described()) == text
