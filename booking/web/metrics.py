"""What a monitor reads: whether the invariants hold and how the letters go, as gauges in Prometheus' text format."""

from __future__ import annotations

import hmac
import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from booking.appointments.checkup import Finding, check_up
from booking.db import db
from booking.errors import NotFound
from booking.notices.gauges import Gauge, letter_gauges

blueprint = Blueprint("metrics", __name__)

FRESH_SECONDS = 60.0
LETTERS_FRESH_SECONDS = 10.0
STATEMENT_SECONDS, IN_ALL_SECONDS = 2.0, 6.0
"""A scrape gives up after ten seconds; a large hospital's slow invariants are for `flask doctor`."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Reading:
    """The last check-up of this process: its findings (None: the database did not answer), when and how long."""

    findings: list[Finding] | None
    at: float
    took: float


_kept: dict[str, Reading] = {}


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Answer a monitor: from this machine, or with `Authorization: Bearer METRICS_TOKEN`; for anybody else not found."""
    if not _may_read():
        raise NotFound
    return Response(
        _text(_reading()) + _letters(),
        content_type="text/plain; version=0.0.4",
        headers={"Cache-Control": "no-store"},
    )


def _may_read() -> bool:
    token = current_app.config["METRICS_TOKEN"]
    if token:
        said = request.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(said, f"Bearer {token}".encode())
    # what a proxy on this machine passes on comes from loopback too, but says for whom
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"))
    try:
        return not forwarded and ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _reading() -> Reading:
    """Return the last check-up, or make one when it is older than a minute; never two at once in this process."""
    where = current_app.config["SQLALCHEMY_DATABASE_URI"]
    kept = _kept.get(where)
    if kept and time.monotonic() - kept.at < FRESH_SECONDS:
        return kept
    if not _one_at_a_time.acquire(blocking=kept is None):
        assert kept is not None
        return kept
    try:
        began = time.monotonic()
        findings: list[Finding] | None
        try:
            findings = list(check_up(seconds=STATEMENT_SECONDS, in_all=IN_ALL_SECONDS))
        except SQLAlchemyError:
            current_app.logger.exception("no check-up: the database does not answer")
            db.session.remove()
            findings = None
        reading = Reading(findings, time.monotonic(), time.monotonic() - began)
        if findings is not None:
            _kept[where] = reading
        return reading
    finally:
        _one_at_a_time.release()


@dataclass(frozen=True)
class Letters:
    """The gauges of the letters as this process last read them."""

    text: str
    at: float


_kept_letters: dict[str, Letters] = {}


def _letters() -> str:
    """Return the gauges of the letters, read at most every ten seconds; none while the database does not answer."""
    where = current_app.config["SQLALCHEMY_DATABASE_URI"]
    kept = _kept_letters.get(where)
    if kept and time.monotonic() - kept.at < LETTERS_FRESH_SECONDS:
        return kept.text
    try:
        if db.engine.dialect.name == "postgresql":
            db.session.execute(text(f"SET LOCAL statement_timeout = {int(STATEMENT_SECONDS * 1000)}"))
        said = "".join(_gauge(one) for one in letter_gauges())
    except SQLAlchemyError:
        current_app.logger.exception("no gauges of the letters: the database does not answer")
        return ""
    finally:
        db.session.rollback()
    _kept_letters[where] = Letters(said, time.monotonic())
    return said


def _gauge(one: Gauge) -> str:
    """Return one gauge in the exposition format (version 0.0.4), with its labels' values escaped."""
    lines = [f"# HELP {one.name} {one.says}", f"# TYPE {one.name} gauge"]
    for labels, value in one.values:
        said = ",".join(f'{name}="{_escaped(label)}"' for name, label in labels)
        lines.append(f"{one.name}{{{said}}} {value:g}" if labels else f"{one.name} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _text(reading: Reading) -> str:
    lines = [
        "# HELP booking_database_up Whether the database answered.",
        "# TYPE booking_database_up gauge",
        f"booking_database_up {int(reading.findings is not None)}",
    ]
    if reading.findings is not None:
        rows: dict[tuple[str, str], float] = {}
        for one in reading.findings:
            name = (one.invariant.rule, one.invariant.name)
            rows[name] = rows.get(name, 0) + (float("nan") if one.unread else len(one.rows))
        lines += [
            "# HELP booking_invariant_broken_rows Rows that break an invariant of the reservation core; should be 0."
            " NaN: not read in time, ask flask doctor.",
            "# TYPE booking_invariant_broken_rows gauge",
        ]
        lines += [
            f'booking_invariant_broken_rows{{rule="{rule}",name="{name}"}} {"NaN" if value != value else int(value)}'
            for (rule, name), value in rows.items()
        ]
        lines += [
            "# HELP booking_invariants_age_seconds How old these readings are.",
            "# TYPE booking_invariants_age_seconds gauge",
            f"booking_invariants_age_seconds {time.monotonic() - reading.at:.1f}",
            "# HELP booking_invariants_check_seconds How long reading them took.",
            "# TYPE booking_invariants_check_seconds gauge",
            f"booking_invariants_check_seconds {reading.took:.3f}",
        ]
    return "\n".join(lines) + "\n"
