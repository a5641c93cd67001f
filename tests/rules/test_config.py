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
}

CARRIERS = ("SMS_PROVIDERS", "WECHAT_KIND", *{name for names in config.NEEDED.values() for name in names})


@pytest.fixture
def environment(monkeypatch):
    for name in (*SAFE, "PORT", "DEMO_SHOW_CODES", "DEMO_OUTBOX", "TRUSTED_PROXIES", "SMTP_URL", *CARRIERS):
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
    [("alibaba", "alibaba"), ("tencent", "gateway,tencent"), ("wechat", "gateway"), ("voice", "gateway")],
)
def test_half_a_carrier_is_refused(environment, carrier, providers):
    needs = dict.fromkeys(config.NEEDED[carrier], "https://voice.example.org/0123456789")
    for missing in config.NEEDED[carrier][1:]:
        environment(**needs | {missing: None, "SMS_PROVIDERS": providers})
        with pytest.raises(Refused, match=f"{missing} is missing"):
            from_environment()
    environment(**needs | {"SMS_PROVIDERS": providers})
    assert providers.split(",") == from_environment().SMS_PROVIDERS


def test_production_may_send_by_another_provider_alone(environment):
    needs = dict.fromkeys(config.NEEDED["alibaba"], "given")
    environment(**needs, SMS_GATEWAY_URL=None, SMS_PROVIDERS="alibaba")
    from_environment()


@pytest.mark.parametrize("kind", ["production", "demo"])
def test_failpoints_exist_only_in_the_test_configuration(environment, monkeypatch, kind):
    environment(APP_ENV=kind, FAILPOINTS="anywhere")
    with pytest.raises(Refused, match="FAILPOINTS"):
        from_environment()
    monkeypatch.setenv("APP_ENV", "testing")
    assert from_environment().FAILPOINTS == "anywhere"
