"""Invariants of places and the appointments that hold them."""

from __future__ import annotations

from datetime import timedelta

from booking.appointments.invariants.shape import ACTIVE_SQL, ENDED_SQL, Invariant, of
from booking.schedule.sellable import USED

NEVER = f"{USED - timedelta(days=2):%Y-%m-%d}"
"""A date that only a place used up rests beyond, in whichever zone the database reads it."""

PLACES = (
    Invariant(
        "R1",
        "two active appointments on a place",
        "一个号同时最多只有一个有效预约",
        f"""SELECT place_id FROM appointment WHERE hospital_id = :hospital AND status IN {ACTIVE_SQL}
        GROUP BY place_id HAVING count(*) > 1""",
    ),
    Invariant(
        "R2",
        "a taken place without its appointment",
        "标为已占的号，对应一个有效预约",
        f"""SELECT p.id FROM place p WHERE p.hospital_id = :hospital AND p.appointment_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM appointment a WHERE a.hospital_id = p.hospital_id AND a.id = p.appointment_id
            AND a.place_id = p.id AND a.status IN {ACTIVE_SQL})""",
    ),
    Invariant(
        "R2",
        "an active appointment whose place is not marked",
        "每个有效预约都占着自己的号",
        f"""SELECT a.id FROM appointment a WHERE a.hospital_id = :hospital AND a.status IN {ACTIVE_SQL} AND NOT EXISTS (
            SELECT 1 FROM place p WHERE p.hospital_id = a.hospital_id AND p.id = a.place_id
            AND p.appointment_id = a.id)""",
    ),
    Invariant(
        "R2",
        "a place that says held while its appointment does not",
        "号上的保留时间只在预约处于保留中时才有",
        f"""SELECT p.id FROM place p JOIN appointment a ON {of("a", "p", "appointment_id")}
        WHERE p.hospital_id = :hospital AND (p.held_until IS NOT NULL) <> (a.status = 'held')""",
    ),
    Invariant(
        "R2",
        "a hold whose end differs between place and appointment",
        "保留的到期时间在号和预约上一致",
        f"""SELECT a.id FROM place p JOIN appointment a ON {of("a", "p", "appointment_id")}
        WHERE p.hospital_id = :hospital AND a.status = 'held' AND p.held_until <> a.held_until""",
    ),
    Invariant(
        "R15",
        "an ended appointment that still names the place it holds",
        "结束的预约把号退回，而且只退一次",
        f"""SELECT a.id FROM appointment a WHERE a.hospital_id = :hospital AND a.status IN {ENDED_SQL}
        AND a.holds_place_id IS NOT NULL""",
    ),
    Invariant(
        "R20",
        "an appointment that has two places",
        "改约时患者始终只占一个号",
        """SELECT appointment_id FROM place WHERE hospital_id = :hospital AND appointment_id IS NOT NULL
        GROUP BY appointment_id HAVING count(*) > 1""",
    ),
    Invariant(
        "R17",
        "an active appointment in a stopped session",
        "停诊的班次里没有有效预约",
        f"""SELECT a.id FROM clinic_session s JOIN appointment a ON {of("s", "a", "session_id")}
        WHERE s.hospital_id = :hospital AND s.status = 'stopped' AND a.status IN {ACTIVE_SQL}""",
    ),
    Invariant(
        "R17",
        "an open place in a session that sells nothing",
        "未发布或停诊的班次不放号",
        f"""SELECT p.id FROM clinic_session s JOIN place p ON {of("s", "p", "session_id")}
        WHERE s.hospital_id = :hospital AND p.open AND s.status IN ('draft', 'stopped')""",
    ),
    Invariant(
        "R19",
        "a withdrawn place that is sold or open",
        "减号不收回已经约出去的号",
        """SELECT id FROM place WHERE hospital_id = :hospital AND withdrawn
        AND (open OR appointment_id IS NOT NULL)""",
    ),
    Invariant(
        "R19",
        "an added place without owner and reason",
        "加号都记着是谁、为什么",
        """SELECT p.id FROM place p WHERE p.hospital_id = :hospital AND p.extra_number IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM extra_grant g WHERE g.hospital_id = p.hospital_id AND g.place_id = p.id)""",
    ),
    Invariant(
        "R19",
        "more added places than the rules allow",
        "加号不超过规则的上限",
        """SELECT p.session_id FROM place p WHERE p.hospital_id = :hospital AND p.extra_number IS NOT NULL
        AND NOT p.withdrawn GROUP BY p.session_id
        HAVING count(*) > (SELECT max(v.extra_cap) FROM policy v WHERE v.hospital_id = :hospital)""",
    ),
    Invariant(
        "R19",
        "the number of somebody who was seen is on sale or sold again",
        "看完的号不再放出，也不再给别人",
        f"""SELECT a.id FROM appointment a JOIN place p ON {of("p", "a", "place_id")}
        WHERE a.hospital_id = :hospital AND a.status = 'fulfilled'
        AND (p.appointment_id IS NOT NULL OR p.rests_until IS NULL OR p.rests_until < '{NEVER}')
        AND EXISTS (SELECT 1 FROM appointment_event e WHERE e.hospital_id = a.hospital_id
            AND e.appointment_id = a.id AND e.verb = 'finish')""",
    ),
    Invariant(
        "R28",
        "an appointment whose place, slot and session do not belong together",
        "预约、号、时段、班次属于同一处",
        f"""SELECT a.id FROM appointment a JOIN place p ON {of("p", "a", "place_id")}
        JOIN slot t ON {of("t", "p", "slot_id")}
        WHERE a.hospital_id = :hospital
        AND (a.slot_id <> p.slot_id OR a.session_id <> p.session_id OR t.session_id <> p.session_id)""",
    ),
)
"""What places and appointments owe each other. The storm's observer asks these ten times a second."""
