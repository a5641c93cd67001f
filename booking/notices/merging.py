"""Several visits of one patient on one day and campus are told in one reminder.

One of the day's letters carries the others: the first that is due. While it is waiting or being sent, the others wait.
Before it is handed over it is written down in each of them that the carrier tells of them (`merged_into`), in one
transaction of its own; only those are told. So whatever dies in between, and however many workers there are:

- the carrier is claimed again under the same reference, and gathers again;
- a letter whose carrier was sent is not wanted any more and ends as superseded;
- a letter whose carrier ended in any other way (failed, expired, its visit cancelled) goes by itself, or carries the rest.

A letter that is put while the carrier is on its way was not gathered, and goes by itself. Everything is asked of rows; the
claiming statement asks WAITS and TOLD.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import select, update

from booking.appointments.batch import appointments
from booking.appointments.models import Appointment
from booking.appointments.queries import AppointmentView
from booking.claims import Claimed
from booking.db import constant, core, end_read, transaction
from booking.outbox import Message

TOGETHER = ("reminder_day", "reminder_hours")
"""The kinds that are told together."""
MERGED = "merged with another reminder of the day"

_MINE = "FROM appointment a WHERE a.hospital_id = message.hospital_id AND a.id = message.appointment_id"
_CAMPUS = """SELECT practice.campus_id FROM clinic_session JOIN practice
  ON practice.hospital_id = clinic_session.hospital_id AND practice.id = clinic_session.practice_id
  WHERE clinic_session.hospital_id = message.hospital_id AND clinic_session.id ="""
# Subqueries that give one value are never turned into joins: each is a look at one index, whatever is known of the tables.
WAITS = f"""message.kind IN ('reminder_day', 'reminder_hours') AND EXISTS (
  SELECT 1 FROM appointment b
  WHERE b.hospital_id = message.hospital_id AND b.id <> message.appointment_id AND b.status = 'booked'
    AND b.patient_id = (SELECT a.patient_id {_MINE}) AND b.visit_date = (SELECT a.visit_date {_MINE})
    AND ({_CAMPUS} b.session_id) = ({_CAMPUS} (SELECT a.session_id {_MINE}))
    AND (SELECT count(*) FROM message s
      WHERE s.hospital_id = message.hospital_id AND s.appointment_id = b.id AND s.version = b.version
        AND s.kind = message.kind AND s.channel = message.channel AND s.recipient = message.recipient
        AND coalesce(s.account_id, 0) = coalesce(message.account_id, 0)
        AND coalesce(s.patient_id, 0) = coalesce(message.patient_id, 0)
        AND s.status IN ('waiting', 'sending')
        AND (s.due_at < message.due_at OR (s.due_at = message.due_at AND s.id < message.id))) > 0)"""
"""SQL over `message`, true while another letter of the day, due before it, is there to carry it."""
TOLD = """message.merged_into IS NOT NULL AND EXISTS (
  SELECT 1 FROM message carrier WHERE carrier.hospital_id = message.hospital_id
    AND carrier.id = message.merged_into AND carrier.status IN ('accepted', 'delivered'))"""
"""SQL over `message`, true once the letter that carries it was sent."""

_MESSAGE, _APPOINTMENT = core(Message), core(Appointment)
Day = tuple[int | None, date]
Way = tuple[str, str, str, int | None, int | None]


def gather(
    batch: Sequence[Claimed], visits: Mapping[uuid.UUID, AppointmentView], now: datetime
) -> dict[uuid.UUID, list[AppointmentView]]:
    """Take along the other visits of the day of each claimed reminder of one hospital; return them by carrier.

    `visits` are the batch's own, by id, as they stand at `now`. Writes into each letter taken along who carries it; one that
    somebody ended meanwhile is not taken. One query when nobody of the batch has two visits on a day, which is the rule.
    A repeat takes the same again.
    """
    carriers = [
        (one, visits[one.appointment_id])
        for one in batch
        if one.kind in TOGETHER and one.appointment_id is not None and one.appointment_id in visits
    ]
    if not carriers:
        return {}
    hospital_id = batch[0].hospital_id
    of_day = _of_days(hospital_id, {_day(view) for _, view in carriers})
    others = {view.id: of_day[_day(view)] - {view.id} for _, view in carriers if _day(view) in of_day}
    beside = appointments(hospital_id, sorted(set().union(*others.values())), now)
    if not beside:
        return {}
    letters = _waiting(hospital_id, list(beside), batch[0].channel)
    found: dict[uuid.UUID, list[AppointmentView]] = {}
    with transaction() as session:
        for carrier, view in carriers:
            for other in others.get(view.id, ()):
                near = beside.get(other)
                letter = letters.get((other, near.version, _way(carrier))) if near else None
                if near is None or letter is None or near.campus_id != view.campus_id:
                    continue
                done = session.connection().execute(
                    update(_MESSAGE)
                    .where(
                        _MESSAGE.c.hospital_id == hospital_id,
                        _MESSAGE.c.id == letter,
                        _MESSAGE.c.status == constant("waiting"),
                    )
                    .values(merged_into=carrier.id, last_error=MERGED)
                )
                if done.rowcount == 1:
                    found.setdefault(carrier.id, []).append(near)
    return found


def _day(view: AppointmentView) -> Day:
    return view.patient_id, view.visit_date


def _way(one: Claimed) -> Way:
    return one.kind, one.channel, one.recipient, one.account_id, one.patient_id


def _of_days(hospital_id: int, days: set[Day]) -> dict[Day, set[uuid.UUID]]:
    """Return the booked visits of those patients on those days, where there is more than one."""
    a = _APPOINTMENT.c
    rows = end_read().execute(
        select(a.patient_id, a.visit_date, a.id).where(
            a.hospital_id == hospital_id,
            a.patient_id.in_({patient for patient, _ in days}),
            a.visit_date.in_({on for _, on in days}),
            a.status == constant("booked"),
        )
    )
    found: dict[Day, set[uuid.UUID]] = {}
    for patient, on, appointment in rows:
        found.setdefault((patient, on), set()).add(appointment)
    return {day: ids for day, ids in found.items() if len(ids) > 1}


def _waiting(
    hospital_id: int, appointment_ids: list[uuid.UUID], channel: str
) -> dict[tuple[uuid.UUID, int, Way], uuid.UUID]:
    """Return the waiting reminders about those visits, by visit, version and way."""
    m = _MESSAGE.c
    rows = end_read().execute(
        select(
            m.id, m.appointment_id, m.version, m.kind, m.channel, m.recipient, m.account_id, m.patient_id
        ).where(
            m.hospital_id == hospital_id,
            m.appointment_id.in_(appointment_ids),
            m.kind.in_(TOGETHER),
            m.channel == channel,
            m.status == constant("waiting"),
        )
    )
    return {(row[1], row[2], (row[3], row[4], row[5], row[6], row[7])): row[0] for row in rows}
