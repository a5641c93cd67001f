"""Invariants of the waiting list: wishes, their offers, and the places kept back for them."""

from __future__ import annotations

from booking.appointments.invariants.shape import Invariant, of

WAITING = (
    Invariant(
        "R21",
        "a place offered to two at once",
        "空出的号同一时刻只给一位候补的人留着",
        """SELECT place_id FROM wish_offer WHERE hospital_id = :hospital AND outcome IS NULL
        GROUP BY place_id HAVING count(*) > 1""",
    ),
    Invariant(
        "R21",
        "an offer that stands while its appointment is not held",
        "候补的号在等确认时，对应一个保留中的预约",
        f"""SELECT o.id FROM wish_offer o JOIN appointment a ON {of("a", "o", "appointment_id")}
        WHERE o.hospital_id = :hospital AND (o.outcome IS NULL) <> (a.status = 'held')""",
    ),
    Invariant(
        "R21",
        "a place offered without an offer",
        "为候补保留的号，都有一条候补记录",
        """SELECT a.id FROM appointment a WHERE a.hospital_id = :hospital AND a.kind = 'offer' AND a.status = 'held'
        AND NOT EXISTS (SELECT 1 FROM wish_offer o WHERE o.hospital_id = a.hospital_id AND o.appointment_id = a.id
            AND o.patient_id = a.patient_id)""",
    ),
    Invariant(
        "R21",
        "a wish that says offered without an offer, or is over with one",
        "候补的状态与它的号一致",
        """SELECT w.id FROM wish w WHERE w.hospital_id = :hospital AND (
            (w.status = 'offered' AND NOT EXISTS (SELECT 1 FROM wish_offer o WHERE o.hospital_id = w.hospital_id
                AND o.wish_id = w.id AND o.round = w.round AND o.outcome IS NULL))
            OR (w.status IN ('served', 'ended') AND EXISTS (SELECT 1 FROM wish_offer o
                WHERE o.hospital_id = w.hospital_id AND o.wish_id = w.id AND o.outcome IS NULL)))""",
    ),
    Invariant(
        "R21",
        "a pair of whom one alone got a place",
        "两人一起候补，要么都约到，要么都没有",
        """SELECT w.id FROM wish w JOIN wish_offer o ON o.hospital_id = w.hospital_id AND o.wish_id = w.id
        WHERE w.hospital_id = :hospital AND o.outcome = 'accepted' GROUP BY w.id, w.party HAVING count(*) <> w.party""",
    ),
    Invariant(
        "R22",
        "a place kept for the waiting list while an appointment has it for good",
        "确认后的号不再标为候补",
        f"""SELECT p.id FROM place p JOIN appointment a ON {of("a", "p", "appointment_id")}
        WHERE p.hospital_id = :hospital AND p.freed_at IS NOT NULL AND a.kind = 'offer' AND a.status <> 'held'""",
    ),
    Invariant(
        "R24",
        "an offer made after the closing or to a wish that was over",
        "停止预约以后、候补结束以后，不再给号",
        f"""SELECT o.id FROM wish_offer o JOIN wish w ON {of("w", "o", "wish_id")} JOIN slot s ON {of("s", "o", "slot_id")}
        WHERE o.hospital_id = :hospital AND (o.made_at > w.ended_at OR o.made_at >= s.closes_at
            OR o.accept_by > s.closes_at)""",
    ),
    Invariant(
        "R24",
        "a wish served without an accepted offer",
        "“已约到”的候补，都有确认过的号",
        """SELECT w.id FROM wish w WHERE w.hospital_id = :hospital AND w.status = 'served' AND NOT EXISTS (
            SELECT 1 FROM wish_offer o WHERE o.hospital_id = w.hospital_id AND o.wish_id = w.id
            AND o.outcome = 'accepted')""",
    ),
)
