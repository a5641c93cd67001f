"""The invariants that every committed state must satisfy, as SQL that finds what breaks them."""

from __future__ import annotations

from sqlalchemy import text

from booking.db import db

_ACTIVE = "('held', 'confirming', 'booked', 'arrived', 'in_visit')"
_WITH_PATIENT = "('confirming', 'booked', 'arrived', 'in_visit')"

BREAKS: dict[str, str] = {
    "R1 two active appointments on a place": f"""
        SELECT hospital_id, place_id FROM appointment WHERE status IN {_ACTIVE}
        GROUP BY hospital_id, place_id HAVING count(*) > 1""",
    "R2 a taken place without its appointment": f"""
        SELECT p.id FROM place p WHERE p.appointment_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM appointment a WHERE a.hospital_id = p.hospital_id AND a.id = p.appointment_id
            AND a.place_id = p.id AND a.status IN {_ACTIVE})""",
    "R2 an active appointment whose place is not marked": f"""
        SELECT a.id FROM appointment a WHERE a.status IN {_ACTIVE} AND NOT EXISTS (
            SELECT 1 FROM place p WHERE p.hospital_id = a.hospital_id AND p.id = a.place_id
            AND p.appointment_id = a.id)""",
    "R2 a place that says held while its appointment does not": """
        SELECT p.id FROM place p JOIN appointment a ON a.hospital_id = p.hospital_id AND a.id = p.appointment_id
        WHERE (p.held_until IS NOT NULL) <> (a.status = 'held')""",
    "R4 one patient twice in a session": f"""
        SELECT hospital_id, session_id, patient_id FROM appointment WHERE status IN {_WITH_PATIENT}
        GROUP BY hospital_id, session_id, patient_id HAVING count(*) > 1""",
    "R5 overlapping visits of one patient": f"""
        SELECT a.id FROM appointment a JOIN appointment b ON a.hospital_id = b.hospital_id
        AND a.patient_id = b.patient_id AND a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
        WHERE a.status IN {_WITH_PATIENT} AND b.status IN {_WITH_PATIENT}""",
    "R12 an appointment without its events": """
        SELECT a.id FROM appointment a WHERE a.version <> (
            SELECT count(*) FROM appointment_event e WHERE e.hospital_id = a.hospital_id
            AND e.appointment_id = a.id)""",
    "R17 an active appointment in a stopped session": f"""
        SELECT a.id FROM appointment a JOIN clinic_session s ON s.hospital_id = a.hospital_id
        AND s.id = a.session_id WHERE s.status = 'stopped' AND a.status IN {_ACTIVE}""",
    "R17 an open place in a session that sells nothing": """
        SELECT p.id FROM place p JOIN clinic_session s ON s.hospital_id = p.hospital_id AND s.id = p.session_id
        WHERE p.open AND s.status IN ('draft', 'stopped')""",
    "R25 a queue number given twice": """
        SELECT hospital_id, session_id, queue_number FROM appointment WHERE queue_number IS NOT NULL
        GROUP BY hospital_id, session_id, queue_number HAVING count(*) > 1""",
    "N1 a booked visit that put no letter": """
        SELECT a.id FROM appointment a WHERE a.status = 'booked' AND a.account_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM message m WHERE m.hospital_id = a.hospital_id AND m.appointment_id = a.id)""",
}


def broken(*leave_out: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what is broken: the name of each invariant that does not hold, with its rows."""
    db.session.rollback()
    found = {}
    for name, query in BREAKS.items():
        if name.split()[0] in leave_out:
            continue
        rows = [tuple(row) for row in db.session.execute(text(query))]
        if rows:
            found[name] = rows
    db.session.rollback()
    return found
