"""Invariants of what has happened: events, keys, letters and the trail."""

from __future__ import annotations

from booking.appointments.invariants.shape import ACTIVE_SQL, LEGAL_SQL, LIVE, Invariant, of

HISTORY = (
    Invariant(
        "R8",
        "a request key that leads nowhere",
        "每个请求编号都指向它产生的预约",
        """SELECT k.appointment_id FROM request_key k WHERE k.hospital_id = :hospital AND NOT EXISTS (
            SELECT 1 FROM appointment a WHERE a.hospital_id = k.hospital_id AND a.id = k.appointment_id)""",
    ),
    Invariant(
        "R12",
        "an appointment without its events",
        "每个预约从第一版起每一版都有记录",
        """SELECT a.id FROM appointment a LEFT JOIN appointment_event e ON e.hospital_id = a.hospital_id
        AND e.appointment_id = a.id WHERE a.hospital_id = :hospital GROUP BY a.id, a.version
        HAVING count(e.id) <> a.version OR min(e.version) <> 1 OR max(e.version) <> a.version""",
    ),
    Invariant(
        "R13",
        "a change of state that is not legal",
        "预约只按规定的步骤改变状态",
        f"""SELECT e.appointment_id FROM appointment_event e WHERE e.hospital_id = :hospital
        AND ((e.version = 1 AND e.from_status IS NOT NULL)
            OR (e.version > 1 AND (e.from_status IS NULL OR NOT ({LEGAL_SQL}))))""",
    ),
    Invariant(
        "R13",
        "an event that does not begin where the last one ended",
        "每一步都从上一步的结果开始",
        """SELECT e.appointment_id FROM appointment_event e JOIN appointment_event b ON b.hospital_id = e.hospital_id
        AND b.appointment_id = e.appointment_id AND b.version = e.version - 1
        WHERE e.hospital_id = :hospital AND b.to_status <> e.from_status""",
    ),
    Invariant(
        "R13",
        "an appointment whose state is not that of its last event",
        "预约的状态就是最后一步的结果",
        """SELECT a.id FROM appointment a JOIN appointment_event e ON e.hospital_id = a.hospital_id
        AND e.appointment_id = a.id AND e.version = a.version
        WHERE a.hospital_id = :hospital AND e.to_status <> a.status""",
    ),
    Invariant(
        "R13",
        "a change without an actor",
        "每一步都记着是谁做的",
        "SELECT appointment_id FROM appointment_event WHERE hospital_id = :hospital AND actor_kind = ''",
    ),
    Invariant(
        "R14",
        "a hold confirmed after its end",
        "保留到期以后不能再确认",
        """SELECT a.id FROM appointment a JOIN appointment_event e ON e.hospital_id = a.hospital_id
        AND e.appointment_id = a.id AND e.from_status = 'held' AND e.to_status IN ('booked', 'confirming')
        WHERE a.hospital_id = :hospital AND e.at >= a.held_until""",
    ),
    Invariant(
        "R14",
        "a hold that expired before its end",
        "保留不会提前到期",
        """SELECT a.id FROM appointment a JOIN appointment_event e ON e.hospital_id = a.hospital_id
        AND e.appointment_id = a.id AND e.version = a.version AND e.verb = 'expire'
        WHERE a.hospital_id = :hospital AND e.at < a.held_until""",
    ),
    Invariant(
        "R16",
        "a place taken online before its release or after its closing",
        "放号以前、停约以后网上约不到",
        f"""SELECT a.id FROM appointment a JOIN clinic_session s ON {of("s", "a", "session_id")}
        JOIN slot t ON {of("t", "a", "slot_id")}
        WHERE a.hospital_id = :hospital AND a.kind IN ('web', 'draw')
        AND a.created_at >= COALESCE(s.changed_at, a.created_at)
        AND (a.created_at < s.release_at OR a.created_at >= t.closes_at)
        AND NOT EXISTS (SELECT 1 FROM appointment_event e WHERE e.hospital_id = a.hospital_id
            AND e.appointment_id = a.id AND e.verb = 'move')""",
    ),
    Invariant(
        "R16",
        "a place taken online before its wave or its roll-over",
        "分批放的号和留给其他渠道的号，到时间才能在网上约",
        f"""SELECT a.id FROM appointment a JOIN place p ON {of("a", "p", "appointment_id")}
        JOIN clinic_session s ON {of("s", "a", "session_id")}
        WHERE a.hospital_id = :hospital AND a.kind = 'web' AND a.status IN {ACTIVE_SQL}
        AND a.created_at >= COALESCE(s.changed_at, a.created_at)
        AND (a.created_at < p.opens_at OR (p.channel <> 'web' AND (p.rolls_at IS NULL OR a.created_at < p.rolls_at)))
        AND NOT EXISTS (SELECT 1 FROM appointment_event e WHERE e.hospital_id = a.hospital_id
            AND e.appointment_id = a.id AND e.verb = 'move')""",
    ),
    Invariant(
        "R18",
        "somebody whose session was stopped and who was not told",
        "停诊时每位受影响的人都有通知",
        """SELECT e.appointment_id FROM appointment_event e JOIN appointment a ON a.hospital_id = e.hospital_id
        AND a.id = e.appointment_id WHERE e.hospital_id = :hospital AND e.verb = 'stop' AND e.to_status = 'cancelled'
        AND e.at > :kept AND a.account_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM message m WHERE m.hospital_id = a.hospital_id AND m.appointment_id = a.id
            AND m.kind = 'stopped' AND m.version = e.version)""",
    ),
    Invariant(
        "R30",
        "a stop of a session that the trail does not know",
        "停诊都有操作记录",
        """SELECT s.id FROM clinic_session s WHERE s.hospital_id = :hospital AND s.status = 'stopped'
        AND s.stopped_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM audit_event u WHERE u.hospital_id = s.hospital_id AND u.object_id = s.id
            AND u.action = 'stop_session')""",
    ),
    Invariant(
        "N1",
        "a booked visit that put no letter",
        "每个预约成功都有通知",
        """SELECT a.id FROM appointment a WHERE a.hospital_id = :hospital AND a.status = 'booked'
        AND a.account_id IS NOT NULL AND a.created_at > :kept AND NOT EXISTS (
            SELECT 1 FROM message m WHERE m.hospital_id = a.hospital_id AND m.appointment_id = a.id)""",
    ),
    Invariant(
        "N2",
        "one letter twice",
        "同一通知同一渠道只发给同一人一次",
        """SELECT min(appointment_id) FROM (SELECT CAST(appointment_id AS varchar(36)) AS appointment_id, kind, version,
            channel, recipient, account_id, patient_id FROM message
            WHERE hospital_id = :hospital AND appointment_id IS NOT NULL) m
        GROUP BY appointment_id, kind, version, channel, recipient, account_id, patient_id HAVING count(*) > 1""",
    ),
    Invariant(
        "N4",
        "a letter due for more than a minute that nobody sends",
        "到点的通知一分钟内有人在发",
        """SELECT id FROM message WHERE hospital_id = :hospital AND next_at < :late
        AND (status = 'waiting' OR (status = 'sending' AND lease_until < :late))""",
        LIVE,
    ),
)
