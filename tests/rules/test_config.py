"""Settings: what production refuses, each with one sentence, and how addresses are read."""

from __future__ import annotations

import stat

import pytest

import config
from config import Refused, database_url, from_environment

SAFE = {
    "APP_ENV": "production",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "FIELD_KEYS": "k1:" + "a1" * 32,
    "DATABASE_URL": "postgresql://booking@db.example.org/booking",
    "REDIS_URL": "redis://cache.example.org:6379/0",
    "SMS_GATEWAY_URL": "https://sms.example.org/send",
    "SMS_GATEWAY_KEY": "0123456789abcdef01234567",
    "PUBLIC_URL": "https://book.example.org",
    "HELP_PHONE": "0571-0000-0000",
}

CARRIERS = ("SMS_PROVIDERS", "WECHAT_KIND", *{name for names in config.NEEDED.values() for name in names})
OTHERS = ("SITE_NAME", "MAIL_FROM", "SMTP_URL", "SMS_REPLIES", "RECEIPTS_FROM", *config.CALLBACKS.values())


@pytest.fixture
def environment(monkeypatch):
    for name in (*SAFE, "PORT", "DEMO_SHOW_CODES", "DEMO_OUTBOX", "TRUSTED_PROXIES", *CARRIERS, *OTHERS):
        monkeypatch.delenv(name, raising=False)

    def put(**values):
        for name, value in (SAFE | values).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return put


def test_production_starts_with_everything_safe(environment):
    environment()
    settings = from_environment()
    assert (settings.DEMO, settings.TESTING) == (False, False)
    assert settings.SESSION_COOKIE_SECURE and settings.SESSION_COOKIE_HTTPONLY
    assert settings.SQLALCHEMY_DATABASE_URI.startswith("postgresql+psycopg://booking@db.example.org/booking?")
    assert settings.BROKER_URL == settings.RATELIMIT_STORAGE_URI == SAFE["REDIS_URL"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("FIELD_KEYS", None),
        ("FIELD_KEYS", "a1" * 32),
        ("FIELD_KEYS", "k1:a1a1"),
        ("FIELD_KEYS", "k1:" + "zz" * 32),
        ("FIELD_KEYS", "2026.11:" + "a1" * 32),
        ("FIELD_KEYS", "k1:" + "a1" * 32 + ",k1:" + "b2" * 32),
        ("DATABASE_URL", None),
        ("DATABASE_URL", "sqlite:////var/lib/booking.db"),
        ("DATABASE_URL", "mysql://root@db/booking"),
        ("REDIS_URL", None),
        ("REDIS_URL", "memory://"),
        ("SMS_GATEWAY_URL", None),
        ("SMS_GATEWAY_URL", "http://sms.example.org/send"),
        ("SMS_GATEWAY_KEY", None),
        ("SMS_GATEWAY_KEY", "guessable"),
        ("SMS_PROVIDERS", "gateway,pigeon"),
        ("SMS_PROVIDERS", ","),
        ("SMS_REPLIES", "true"),
        ("RECEIPTS_FROM", "gateway pigeon"),
        ("SMTP_URL", "mail.example.org:25"),
        ("SMTP_URL", "http://mail.example.org"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://mail.example.org:port"),
        ("HELP_PHONE", None),
        ("HELP_PHONE", ""),
        ("HELP_PHONE", "0571-000-0000"),
        ("WECHAT_KIND", "letter"),
        ("PUBLIC_URL", None),
        ("PUBLIC_URL", "http://book.example.org"),
        ("DEMO_SHOW_CODES", "1"),
        ("DEMO_OUTBOX", "true"),
        ("PORT", "five thousand"),
        ("TRUSTED_PROXIES", "yes"),
    ],
)
def test_production_refuses_what_is_unsafe_in_one_sentence(environment, name, value):
    environment(**{name: value})
    with pytest.raises(Refused) as refused:
        from_environment()
    sentence = str(refused.value)
    assert name in sentence
    assert "\n" not in sentence and sentence.endswith(".")
    assert not value or value == "short" or len(value) < 20 or value not in sentence, (
        "a secret is not repeated"
    )


def test_an_unknown_kind_of_start_is_refused(environment):
    environment(APP_ENV="prodution")
    with pytest.raises(Refused, match="prodution"):
        from_environment()


@pytest.mark.parametrize(
    ("given", "starts"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d?connect_timeout=5"),
        ("postgresql://u@h:5433/d", "postgresql+psycopg://u@h:5433/d?connect_timeout=5"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d?connect_timeout=5"),
        ("postgres://u@h/d?sslmode=require", "postgresql+psycopg://u@h/d?sslmode=require&connect_timeout=5"),
        ("postgres://u@h/d?connect_timeout=9", "postgresql+psycopg://u@h/d?connect_timeout=9"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_addresses_of_databases_are_read(given, starts):
    found = database_url(given)
    assert found.startswith(starts)
    assert ("tcp_user_timeout" in found) == ("?connect_timeout=5" in starts or "&connect_timeout=5" in starts)


def test_the_demo_keeps_its_secrets_in_a_file_only_the_owner_reads(environment, monkeypatch, tmp_path):
    monkeypatch.setattr(config, "ROOT", tmp_path)
    environment(**dict.fromkeys(SAFE))
    first, second = from_environment(), from_environment()
    assert first.DEMO
    assert (first.SECRET_KEY, first.FIELD_KEYS) == (second.SECRET_KEY, second.FIELD_KEYS)
    assert first.FIELD_KEYS.removeprefix("local:") != first.SECRET_KEY
    kept = list((tmp_path / "instance").glob("*"))
    assert sorted(one.name for one in kept) == ["fields.key", "secret.key"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept} == {0o600}


@pytest.mark.parametrize(
    ("carrier", "providers"),
    [
        ("alibaba", "alibaba,gateway"),
        ("tencent", "gateway,tencent"),
        ("wechat", "gateway"),
        ("voice", "gateway"),
    ],
)
def test_half_a_carrier_is_refused(environment, carrier, providers):
    needs = dict.fromkeys(config.NEEDED[carrier], "https://voice.example.org/0123456789")
    for missing in config.NEEDED[carrier]:
        environment(**needs | {missing: None, "SMS_PROVIDERS": providers})
        with pytest.raises(Refused, match=f"{missing} is missing"):
            from_environment()
    environment(**needs | {"SMS_PROVIDERS": providers})
    assert providers.split(",") == from_environment().SMS_PROVIDERS


def test_people_are_led_to_wechat_over_https_only(environment):
    needs = dict.fromkeys(config.NEEDED["wechat"], "given")
    environment(**needs, WECHAT_AUTHORIZE_URL="http://wechat.example.org/authorize")
    with pytest.raises(Refused, match="WECHAT_AUTHORIZE_URL must start with https"):
        from_environment()


def test_production_may_send_by_another_provider_alone(environment):
    needs = dict.fromkeys(config.NEEDED["alibaba"], "given")
    environment(**needs, SMS_GATEWAY_URL=None, SMS_GATEWAY_KEY=None, SMS_PROVIDERS="alibaba")
    from_environment()


def test_a_provider_that_is_set_up_is_named(environment):
    needs = dict.fromkeys(config.NEEDED["alibaba"], "given")
    environment(**needs, SMS_PROVIDERS="gateway")
    with pytest.raises(Refused, match="SMS_PROVIDERS does not name alibaba"):
        from_environment()
    environment(**dict.fromkeys(needs) | {"SMS_TEMPLATE_IDS": "/etc/booking/ids.toml"})
    assert from_environment().SMS_PROVIDERS == ["gateway"], "a file that several share switches none on"


def test_a_provider_that_is_named_is_set_up(environment):
    environment(SMS_PROVIDERS="gateway,alibaba")
    with pytest.raises(Refused, match="ALIBABA_KEY_ID is missing"):
        from_environment()


def test_replies_need_the_callback_key_of_every_provider(environment):
    key = "0123456789abcdef01234567"
    needs = dict.fromkeys(config.NEEDED["alibaba"], "given")
    replies = needs | {"SMS_PROVIDERS": "gateway,alibaba", "SMS_REPLIES": "true", "SMS_CALLBACK_KEY": key}
    environment(**replies)
    with pytest.raises(Refused, match="ALIBABA_CALLBACK_SECRET is missing"):
        from_environment()
    environment(**replies, ALIBABA_CALLBACK_SECRET=key)
    assert from_environment().SMS_REPLIES


@pytest.mark.parametrize(
    "sender", [None, "", "noreply@example.org", "预约 <noreply@example.org>", "预约", "a@b"]
)
def test_mail_comes_from_an_address_of_the_house(environment, sender):
    environment(SMTP_URL="smtp://us%40er:word@mail.example.org:587", MAIL_FROM=sender)
    with pytest.raises(Refused, match="MAIL_FROM"):
        from_environment()


@pytest.mark.parametrize("url", ["smtp://127.0.0.1", "smtps://user:word@mail.example.org"])
def test_mail_that_can_be_sent_is_taken(environment, url):
    environment(SMTP_URL=url, MAIL_FROM="预约 <booking@hospital.example.cn>")
    assert url == from_environment().SMTP_URL


def test_the_houses_name_and_phone_are_its_own(environment):
    environment(SITE_NAME="青山就医", HELP_PHONE="0571-0000-0001")
    settings = from_environment()
    assert (settings.SITE_NAME, settings.HELP_PHONE) == ("青山就医", "0571-0000-0001")
    assert settings.SMS_SIGNATURE == "青山就医"
    environment(**dict.fromkeys(SAFE), SITE_NAME=None)
    assert from_environment().HELP_PHONE == "0571-000-0000", "the demo's is invented"


@pytest.mark.parametrize("kind", ["production", "demo"])
def test_failpoints_exist_only_in_the_test_configuration(environment, monkeypatch, kind):
    environment(APP_ENV=kind, FAILPOINTS="anywhere")
    with pytest.raises(Refused, match="FAILPOINTS"):
        from_environment()
    monkeypatch.setenv("APP_ENV", "testing")
    assert from_environment().FAILPOINTS == "anywhere"
