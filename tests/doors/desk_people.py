"""Staff sitting at the desk: members of every role, signed in without a password, and forms posted as a browser does."""

from __future__ import annotations

import html
import re
import uuid
from contextvars import Context
from datetime import date, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from booking.clock import local
from booking.db import Model, db, new_id, transaction
from booking.staff.models import StaffMember
from tests import factory
from tests.factory import Clinic

ROLES = ("scheduler", "desk", "doctor", "admin")

HOSTILE = (
    "\x00",
    "a\x00b",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "\u202e反过来\u202c",
    "𝔱𝔢𝔰𝔱 🩺",
    "%(text)s %s %d {0}",
    "-1",
    "9" * 5000,
    "NaN",
    "1e400",
    "０８：３０",
    "2026-02-30",
    "0000-00-00",
    "99999-12-31",
    "../../etc/passwd",
    "\r\nSet-Cookie: a=b",
    " ",
    "長" * 3000,
    "\ud800",
)
"""Values nobody means, of the kinds that have broken forms elsewhere."""


class Browser:
    """A browser whose every request has a context of its own, also inside a test that has one (fixture `within`)."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def open(self, path: str, **values: Any) -> TestResponse:
        return Context().run(self.client.open, path, **values)

    def get(self, path: str, **values: Any) -> TestResponse:
        return self.open(path, method="GET", **values)

    def send(self, path: str, fields: dict[str, Any] | None = None, **values: Any) -> TestResponse:
        """Post these fields and nothing else."""
        return self.open(path, method="POST", data=fields or {}, **values)

    def post(self, path: str, fields: dict[str, Any] | None = None, page: str = "") -> TestResponse:
        """Post as a browser does: with the token of the page the form stands on (default: the same address)."""
        shown = self.get(page or path)
        found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', shown.get_data(as_text=True))
        assert found, f"no form on {page or path} ({shown.status_code})"
        return self.send(path, {"csrf_token": found[1], **(fields or {})})

    @property
    def cookie(self) -> dict[str, Any]:
        """What the signed cookie holds."""
        with self.client.session_transaction() as kept:
            return dict(kept)

    def keep(self, **values: Any) -> None:
        """Write into the signed cookie."""
        with self.client.session_transaction() as kept:
            kept.update(values)


class Seat(Browser):
    """A browser in which a staff member is signed in."""

    def __init__(self, app: Flask, row: StaffMember) -> None:
        super().__init__(app)
        self.member = row
        until = int((factory.now() + timedelta(hours=12)).timestamp())
        self.keep(staff={"hospital": row.hospital_id, "id": row.id.hex, "version": 1, "until": until})


def member(at: Clinic, role: str, name: str = "何予") -> StaffMember:
    """Write a staff member of a role; the doctor is the clinic's doctor."""
    row = StaffMember(
        hospital_id=at.id,
        id=new_id(),
        username=f"{role}-{uuid.uuid4().hex[:8]}",
        name=name,
        role=role,
        doctor_id=at.doctor.id if role == "doctor" else None,
        password_hash="no password fits this",
        active=True,
        session_version=1,
        created_at=factory.now(),
    )
    with transaction() as session:
        session.add(row)
        session.flush()
        session.expunge_all()
    return row


def seat(app: Flask, at: Clinic, role: str) -> Seat:
    """Return a browser in which a new member of that role is signed in."""
    return Seat(app, member(at, role))


def today(at: Clinic) -> date:
    """Return the hospital's date of today."""
    return local(factory.now(), at.hospital.zone).date()


def text_of(answer: TestResponse) -> str:
    """Return what a page says, without markup."""
    body = re.sub(r"<(script|style).*?</\1>", " ", answer.get_data(as_text=True), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def row_counts() -> dict[str, int]:
    """Return how many rows each table has, for showing that nothing was added or removed."""
    db.session.rollback()
    return {
        table.name: db.session.scalar(select(func.count()).select_from(table)) or 0
        for table in Model.metadata.sorted_tables
    }


def stored(model: type[Any], *key: Any) -> Any:
    """Return a row as it is in the database now."""
    db.session.rollback()
    return db.session.get_one(model, key, populate_existing=True)
