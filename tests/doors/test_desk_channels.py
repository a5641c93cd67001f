"""Kept numbers in the editor, in a template, and on the doctor's page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from booking import wording
from booking.clock import local
from booking.db import db
from booking.schedule.models import ClinicSession, Place
from tests import factory
from tests.doors.desk_people import Browser, seat, stored, text_of
from tests.verbs.test_channels import by_channel

pytestmark = pytest.mark.usefixtures("within")


def as_shown(at, row, **changes):
    """The editor's fields as the page shows them."""
    row = stored(ClinicSession, at.id, row.id)
    rolls = local(row.rolls_at or row.release_at, row.zone)
    released = local(row.release_at, row.zone)
    return {
        "version": str(row.version),
        "starts": row.starts_local.strftime("%H:%M"),
        "ends": row.ends_local.strftime("%H:%M"),
        "minutes": str(row.slot_minutes),
        "places": str(row.places_per_slot),
        "kind": row.clinic_kind_id.hex,
        "fee": "25",
        "room": row.room,
        "release": "own",
        "release_date": released.date().isoformat(),
        "release_time": released.strftime("%H:%M"),
        "rolls": "own" if row.rolls_at else "never",
        "rolls_date": rolls.date().isoformat(),
        "rolls_time": rolls.strftime("%H:%M"),
        **{f"kept_{name}": str(count) for name, count in row.channels.items()},
        "act": "save",
    } | changes


def test_the_editor_shows_and_changes_the_kept_numbers(app):
    at = factory.clinic()
    rolls = factory.now().replace(second=0, microsecond=0) + timedelta(hours=5)
    opened = factory.open_session(at, places=3, channels={"phone": 1}, rolls_at=rolls)
    desk = seat(app, at, "scheduler")
    page = f"/staff/sessions/{opened.id}"
    shown = desk.get(page).text
    assert 'name="kept_phone"' in shown and "留给电话" in shown
    said = desk.post(page, as_shown(at, opened, kept_desk="1", act="preview"))
    assert "每段留给：电话 1、现场 1，其余网上可约" in text_of(said)
    assert desk.post(page, as_shown(at, opened, kept_desk="1")).status_code == 303
    assert by_channel(opened.session) == {"web": 4, "phone": 4, "desk": 4}
    assert stored(ClinicSession, at.id, opened.id).rolls_at == rolls, "saving something else leaves it"
    too_many = desk.post(page, as_shown(at, opened, kept_desk="3"))
    assert too_many.status_code == 422 and "比每段的 3 个还多" in text_of(too_many)
    desk.post(page, as_shown(at, opened, rolls="never"))
    assert stored(ClinicSession, at.id, opened.id).rolls_at is None
    assert set(db.session.scalars(select(Place.rolls_at))) == {None}


def test_the_doctors_page_says_for_whom_numbers_are_kept_and_until_when(app, now):
    at = factory.clinic()
    rolls = (factory.now() + timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    opened = factory.open_session(at, places=2, channels={"phone": 1, "desk": 1}, rolls_at=rolls)
    page = f"/d/{at.doctor.slug}?day={opened.session.local_date.isoformat()}"
    zone = at.hospital.zone
    when = wording.moment_near(local(rolls, zone), local(factory.now(), zone).date())
    shown = text_of(Browser(app).get(page))
    assert f"另有 8 个号留给电话、现场，未用完的 {when} 起网上可约。" in shown
    now.at(rolls)
    after = text_of(Browser(app).get(page))
    assert "另有" not in after and "还剩 8 个号" in after
