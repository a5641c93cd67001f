"""Settings, read once from the environment; production refuses what is only safe in a demo."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env, EnvError

FIELD_KEYS = re.compile(r"[A-Za-z0-9_-]{1,32}:(?:[0-9A-Fa-f]{2}){32,}")
NEEDED = {
    "gateway": ("SMS_GATEWAY_URL", "SMS_GATEWAY_KEY"),
    "alibaba": ("ALIBABA_KEY_ID", "ALIBABA_KEY_SECRET", "SMS_TEMPLATE_IDS"),
    "tencent": ("TENCENT_SECRET_ID", "TENCENT_SECRET_KEY", "TENCENT_SMS_APP_ID", "SMS_TEMPLATE_IDS"),
    "wechat": ("WECHAT_APP_ID", "WECHAT_APP_SECRET", "WECHAT_TEMPLATES"),
    "voice": ("VOICE_GATEWAY_URL", "VOICE_GATEWAY_KEY"),
}
"""What each carrier needs; the first setting switches it on."""
SMS_CARRIERS = ("gateway", "alibaba", "tencent")
SHARED = ("SMS_TEMPLATE_IDS",)
"""What several carriers need: having it switches none of them on."""
CALLBACKS = {
    "gateway": "SMS_CALLBACK_KEY",
    "alibaba": "ALIBABA_CALLBACK_SECRET",
    "tencent": "TENCENT_CALLBACK_SECRET",
}
"""What a carrier's receipts and replies are known by; without it they are closed."""
DEMO_HELP_PHONE = "0571-000-0000"
DEMO_MAIL_FROM = "noreply@example.org"
SAFE_ROAD = re.compile(r"https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/]")
ROOT = Path(__file__).resolve().parent
env = Env()


class Refused(SystemExit):
    """A setting that cannot be used; the message is one sentence for the person who starts the program."""


def database_url(url: str) -> str:
    """Return `url` with the driver named; `postgres://` has no dialect in SQLAlchemy, so it is normalised here.

    PostgreSQL addresses get limits for silent partitions unless they bring their own: libpq alone waits for minutes.
    """
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url[len(prefix) :]
    if url.startswith("postgresql+psycopg://") and "connect_timeout" not in url:
        limits = "connect_timeout=5&tcp_user_timeout=20000&keepalives_idle=10&keepalives_interval=5&keepalives_count=3"
        url += ("&" if "?" in url else "?") + limits
    return url


def local_secret(name: str) -> str:
    """Return a secret kept in `instance/`, made on first use: a demo survives restarts without any setting."""
    path = ROOT / "instance" / f"{name}.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write(os.urandom(32).hex())
        # atomic: a second process starting at the same moment keeps the first one's key
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
        partial.unlink()
    return path.read_text().strip()


class Settings:
    """What every configuration shares."""

    FIELD_KEYS: str
    SECRET_KEY: str

    DEMO = False
    TESTING = False
    FAILPOINTS = ""
    MAX_CONTENT_LENGTH = 256 * 1024
    MAX_FORM_MEMORY_SIZE = 256 * 1024
    MAX_FORM_PARTS = 200
    SESSION_COOKIE_NAME = "qw"
    SESSION_COOKIE_HTTPONLY = True
    SESSION_COOKIE_SAMESITE = "Lax"
    SESSION_COOKIE_SECURE = False
    PERMANENT_SESSION_LIFETIME = 60 * 60 * 24 * 180
    WTF_CSRF_TIME_LIMIT = 60 * 60 * 12
    WTF_CSRF_SSL_STRICT = False
    BABEL_DEFAULT_LOCALE = "zh_Hans_CN"
    BABEL_DEFAULT_TIMEZONE = "Asia/Shanghai"
    RATELIMIT_HEADERS_ENABLED = True
    RATELIMIT_STRATEGY = "fixed-window"
    SEND_FILE_MAX_AGE_DEFAULT = 60 * 60 * 24 * 365
    TEMPLATES_AUTO_RELOAD = False
    JSON_AS_ASCII = False

    def __init__(self) -> None:
        self.SITE_NAME = env.str("SITE_NAME", "青梧就医")
        self.HELP_PHONE = env.str("HELP_PHONE", DEMO_HELP_PHONE)
        self.SQLALCHEMY_DATABASE_URI = database_url(
            env.str("DATABASE_URL", f"sqlite:///{ROOT / 'instance' / 'booking.db'}")
        )
        # hide_parameters: the text of a database error goes to the log, and its values may be somebody's phone
        self.SQLALCHEMY_ENGINE_OPTIONS: dict[str, Any] = {"hide_parameters": True}
        if self.SQLALCHEMY_DATABASE_URI.startswith("postgresql"):
            self.SQLALCHEMY_ENGINE_OPTIONS |= {
                "pool_size": 10,
                "max_overflow": 10,
                "pool_recycle": 1800,
                "pool_use_lifo": True,  # the one used last has its plans; the others rest until there is more to do
                "pool_timeout": 3,  # seconds to wait for a connection; longer than that is better said at once
            }
        # the release minute: who waits, how many, how long (booking/gate.py, worker/lanes.py)
        self.WAIT_SECONDS = env.float("WAIT_SECONDS", 5.0)
        self.WAITING_AT_MOST = env.int("WAITING_AT_MOST", 1000)
        self.REQUESTS_AT_ONCE = env.int("REQUESTS_AT_ONCE", 64)
        self.RETRY_AFTER_SECONDS = env.int("RETRY_AFTER_SECONDS", 5)
        self.REDIS_URL = env.str("REDIS_URL", "")
        self.BROKER_URL = self.REDIS_URL or "memory://"
        self.RATELIMIT_STORAGE_URI = self.REDIS_URL or "memory://"
        self.RATELIMIT_IN_MEMORY_FALLBACK_ENABLED = bool(self.REDIS_URL)
        self.RATELIMIT_SWALLOW_ERRORS = True
        self.PORT = env.int("PORT", 5000)
        self.PUBLIC_URL = env.str("PUBLIC_URL", f"http://127.0.0.1:{self.PORT}").rstrip("/")
        self.TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0)
        self.SMTP_URL = env.str("SMTP_URL", "")
        self.MAIL_FROM = env.str("MAIL_FROM", DEMO_MAIL_FROM)
        self.SMS_GATEWAY_URL = env.str("SMS_GATEWAY_URL", "")
        self.SMS_GATEWAY_KEY = env.str("SMS_GATEWAY_KEY", "")
        self.SMS_REPLIES = env.bool("SMS_REPLIES", False)
        # what providers call back with: the key they sign with, or the secret in their address; empty: closed
        self.SMS_CALLBACK_KEY = env.str("SMS_CALLBACK_KEY", "")
        self.ALIBABA_CALLBACK_SECRET = env.str("ALIBABA_CALLBACK_SECRET", "")
        self.TENCENT_CALLBACK_SECRET = env.str("TENCENT_CALLBACK_SECRET", "")
        # whose silence about a stop means that somebody must call: those named, else those that can call back
        named = env.str("RECEIPTS_FROM", "").replace(",", " ").split()
        can_call_back = [name for name, key in CALLBACKS.items() if getattr(self, key)]
        self.RECEIPTS_FROM: list[str] = named or can_call_back
        if not set(named) <= set(SMS_CARRIERS):
            raise Refused(f"RECEIPTS_FROM can name {', '.join(SMS_CARRIERS)}.")
        self.SEND_TIMEOUT_SECONDS = env.int("SEND_TIMEOUT_SECONDS", 10)
        self.METRICS_TOKEN = env.str("METRICS_TOKEN", "")
        self._read_carriers()

    def _read_carriers(self) -> None:
        """Who carries letters beside the mail server and the SMS gateway; each is switched on by its own settings."""
        # who carries what; the second SMS provider takes over from the first
        self.SMS_PROVIDERS = [one for one in env.list("SMS_PROVIDERS", ["gateway"]) if one]
        self.SMS_SIGNATURE = env.str("SMS_SIGNATURE", self.SITE_NAME)
        self.SMS_TEMPLATE_IDS = env.str("SMS_TEMPLATE_IDS", "")
        self.SMS_LONGEST_VARIABLE = env.int("SMS_LONGEST_VARIABLE", 35)
        self.ALIBABA_KEY_ID = env.str("ALIBABA_KEY_ID", "")
        self.ALIBABA_KEY_SECRET = env.str("ALIBABA_KEY_SECRET", "")
        self.ALIBABA_SMS_URL = env.str("ALIBABA_SMS_URL", "https://dysmsapi.aliyuncs.com")
        self.TENCENT_SECRET_ID = env.str("TENCENT_SECRET_ID", "")
        self.TENCENT_SECRET_KEY = env.str("TENCENT_SECRET_KEY", "")
        self.TENCENT_SMS_APP_ID = env.str("TENCENT_SMS_APP_ID", "")
        self.TENCENT_SMS_REGION = env.str("TENCENT_SMS_REGION", "ap-guangzhou")
        self.TENCENT_SMS_URL = env.str("TENCENT_SMS_URL", "https://sms.tencentcloudapi.com")
        self.VOICE_GATEWAY_URL = env.str("VOICE_GATEWAY_URL", "")
        self.VOICE_GATEWAY_KEY = env.str("VOICE_GATEWAY_KEY", "")
        self.WECHAT_APP_ID = env.str("WECHAT_APP_ID", "")
        self.WECHAT_APP_SECRET = env.str("WECHAT_APP_SECRET", "")
        self.WECHAT_KIND = env.str("WECHAT_KIND", "subscribe")
        self.WECHAT_PAGE = env.str("WECHAT_PAGE", "")
        self.WECHAT_TEMPLATES = env.str("WECHAT_TEMPLATES", "")
        self.WECHAT_URL = env.str("WECHAT_URL", "https://api.weixin.qq.com")
        self.WECHAT_AUTHORIZE_URL = env.str(
            "WECHAT_AUTHORIZE_URL", "https://open.weixin.qq.com/connect/oauth2/authorize"
        )
        if not set(self.SMS_PROVIDERS) <= set(SMS_CARRIERS):
            raise Refused(f"SMS_PROVIDERS can name {', '.join(SMS_CARRIERS)}, in the order of preference.")
        if self.WECHAT_KIND not in ("subscribe", "template"):
            raise Refused("WECHAT_KIND can be subscribe (a mini program) or template (a service account).")
        self.WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", False)


class Demo(Settings):
    """The embedded default: SQLite, worker inside the process, letters shown on a page, the clock can be moved."""

    DEMO = True
    HOME_HINT = True

    def __init__(self) -> None:
        super().__init__()
        self.SECRET_KEY = env.str("SECRET_KEY", "") or local_secret("secret")
        self.FIELD_KEYS = env.str("FIELD_KEYS", "") or f"local:{local_secret('fields')}"


class Production(Settings):
    """A real hospital: every secret from the environment, real senders, real clock."""

    SESSION_COOKIE_SECURE = True
    PREFERRED_URL_SCHEME = "https"

    def __init__(self) -> None:
        super().__init__()
        self.SECRET_KEY = env.str("SECRET_KEY", "")
        self.FIELD_KEYS = env.str("FIELD_KEYS", "")
        if len(self.SECRET_KEY) < 32:
            raise Refused(
                "SECRET_KEY is missing or shorter than 32 characters; production does not start without it."
            )
        if not self.FIELD_KEYS:
            raise Refused(
                "FIELD_KEYS is missing (form: keyid:64 hex digits); personal fields cannot be encrypted."
            )
        if not self.SQLALCHEMY_DATABASE_URI.startswith("postgresql"):
            raise Refused("DATABASE_URL must name a PostgreSQL database in production.")
        if not self.REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
            raise Refused(
                "REDIS_URL must name a Redis server in production; memory:// serves one process only."
            )
        self._ensure_carriers()
        self._ensure_mail()
        if not self.HELP_PHONE or self.HELP_PHONE == DEMO_HELP_PHONE:
            raise Refused("HELP_PHONE is missing; pages and letters tell people to ring it.")
        for name in CALLBACKS.values():
            if 0 < len(getattr(self, name)) < 24:
                raise Refused(
                    f"{name} is shorter than 24 characters; whoever guesses it could cancel visits."
                )
        if not self.PUBLIC_URL.startswith("https://"):
            raise Refused("PUBLIC_URL must start with https:// in production; letters carry it.")
        if env.bool("DEMO_SHOW_CODES", False) or env.bool("DEMO_OUTBOX", False):
            raise Refused("DEMO_SHOW_CODES and DEMO_OUTBOX are demo settings; production refuses them.")

    def _ensure_carriers(self) -> None:
        """Refuse carriers that could not carry, or that would carry names and numbers openly."""
        if not self.SMS_PROVIDERS:
            raise Refused("SMS_PROVIDERS names nobody; one-time codes could not reach anybody.")
        for name, needed in NEEDED.items():
            missing = [one for one in needed if not getattr(self, one)]
            given = [one for one in needed if getattr(self, one) and one not in SHARED]
            if missing and name in self.SMS_PROVIDERS:
                raise Refused(f"{missing[0]} is missing; SMS_PROVIDERS names {name}, which needs it.")
            if missing and given:
                raise Refused(f"{missing[0]} is missing; {given[0]} is of no use without it.")
            if given and name in SMS_CARRIERS and name not in self.SMS_PROVIDERS:
                raise Refused(f"SMS_PROVIDERS does not name {name}; {given[0]} is of no use then.")
        closed = [CALLBACKS[one] for one in self.SMS_PROVIDERS if not getattr(self, CALLBACKS[one])]
        if self.SMS_REPLIES and closed:
            raise Refused(f"{closed[0]} is missing; SMS_REPLIES asks for answers that nobody could bring.")
        for name in ("SMS_GATEWAY_KEY", "VOICE_GATEWAY_KEY"):
            if 0 < len(getattr(self, name)) < 24:
                raise Refused(
                    f"{name} is shorter than 24 characters; whoever guesses it could send in our name."
                )
        for name in (
            "SMS_GATEWAY_URL",
            "VOICE_GATEWAY_URL",
            "ALIBABA_SMS_URL",
            "TENCENT_SMS_URL",
            "WECHAT_URL",
            "WECHAT_AUTHORIZE_URL",
        ):
            if getattr(self, name) and not SAFE_ROAD.match(getattr(self, name)):
                raise Refused(
                    f"{name} must start with https:// in production (or lead to this very machine); numbers travel there."
                )

    def _ensure_mail(self) -> None:
        """Refuse a mail server that letters could not reach, or a sender nobody could answer."""
        if not self.SMTP_URL:
            return
        try:
            url = urlsplit(self.SMTP_URL)
            usable = url.scheme in ("smtp", "smtps") and bool(url.hostname) and url.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise Refused("SMTP_URL must be smtp://user:password@host:587 or smtps://user:password@host.")
        sender = parseaddr(self.MAIL_FROM)[1]
        if sender == DEMO_MAIL_FROM or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", sender):
            raise Refused(
                "MAIL_FROM must be the hospital's own address; the letters of SMTP_URL come from it."
            )


class Testing(Demo):
    """For the test suite: fixed secrets, no limits unless a test asks for them."""

    TESTING = True
    RATELIMIT_ENABLED = False
    SERVER_NAME = None

    def __init__(self) -> None:
        Settings.__init__(self)
        self.SECRET_KEY = "test-secret-" + "0" * 32
        self.FIELD_KEYS = "t1:" + hashlib.sha256(b"test-fields").hexdigest()
        self.FAILPOINTS = env.str("FAILPOINTS", "")


def from_environment() -> Settings:
    """Return the settings that `APP_ENV` names: demo (default), production or testing."""
    name = env.str("APP_ENV", "demo")
    kinds: dict[str, type[Settings]] = {"demo": Demo, "production": Production, "testing": Testing}
    if name not in kinds:
        raise Refused(f"APP_ENV is {name!r}; it can be demo or production.")
    try:
        settings = kinds[name]()
    except EnvError as problem:
        raise Refused(f"{problem}") from problem
    if env.str("FAILPOINTS", "") and not settings.TESTING:
        raise Refused("FAILPOINTS make bookings fail on purpose; only APP_ENV=testing has them.")
    _ensure_field_keys(settings.FIELD_KEYS)
    return settings


def _ensure_field_keys(spec: str) -> None:
    """Refuse keys that are too short to protect anybody, or whose names could not be told apart in a sealed field."""
    keys = [part.strip() for part in spec.split(",") if part.strip()]
    names = [key.partition(":")[0] for key in keys]
    if not keys or not all(FIELD_KEYS.fullmatch(key) for key in keys) or len(set(names)) != len(names):
        raise Refused(
            "FIELD_KEYS must be keyid:64 hex digits, newest first, separated by commas; a keyid is letters and digits,"
            " used once."
        )
