"""Invariants of what one person may have, and of the numbers called at the desk."""

from __future__ import annotations

from booking.appointments.invariants.shape import PLATFORM, WITH_PATIENT_SQL, Invariant, of

_NOT_OVERRULED = """NOT EXISTS (SELECT 1 FROM audit_event u WHERE u.hospital_id = a.hospital_id
            AND u.object_kind = 'appointment' AND u.object_id = a.id AND u.action = 'move'
            AND u.change LIKE '%"overruled"%')"""
"""Not a visit that staff moved past a limit, with a reason: the trail names the limit."""

PEOPLE = (
    Invariant(
        "R4",
        "one patient twice in a session",
        "同一就诊人在同一班次最多一个有效预约",
        f"""SELECT session_id, patient_id FROM appointment WHERE hospital_id = :hospital AND status IN {WITH_PATIENT_SQL}
        GROUP BY session_id, patient_id HAVING count(*) > 1""",
    ),
    Invariant(
        "R5",
        "overlapping visits of one patient",
        "同一就诊人的就诊时间不重叠",
        f"""SELECT a.id, b.id FROM appointment a JOIN appointment b ON b.hospital_id = a.hospital_id
        AND b.patient_id = a.patient_id AND b.visit_date = a.visit_date AND a.id < b.id
        AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
        JOIN policy v ON v.hospital_id = a.hospital_id AND v.version = a.policy_version
        JOIN policy w ON w.hospital_id = b.hospital_id AND w.version = b.policy_version
        WHERE a.hospital_id = :hospital AND a.status IN {WITH_PATIENT_SQL} AND b.status IN {WITH_PATIENT_SQL}
        AND v.refuse_overlap AND w.refuse_overlap""",
    ),
    Invariant(
        "R6",
        "more visits of one patient on a day than the rules allow",
        "同一就诊人一天的网上预约不超过规则",
        f"""SELECT a.patient_id, min(a.visit_date) FROM appointment a
        JOIN policy v ON v.hospital_id = a.hospital_id AND v.version = a.policy_version
        WHERE a.hospital_id = :hospital AND a.status IN {WITH_PATIENT_SQL} AND a.kind IN ('web', 'offer', 'draw')
        AND {_NOT_OVERRULED}
        GROUP BY a.patient_id, a.visit_date HAVING count(*) > max(v.per_day)""",
    ),
    Invariant(
        "R6",
        "more visits of one patient in a department and day than the rules allow",
        "同一就诊人同一科室一天的网上预约不超过规则",
        f"""SELECT a.patient_id, a.department_id FROM appointment a
        JOIN policy v ON v.hospital_id = a.hospital_id AND v.version = a.policy_version
        WHERE a.hospital_id = :hospital AND a.status IN {WITH_PATIENT_SQL} AND a.kind IN ('web', 'offer', 'draw')
        AND {_NOT_OVERRULED}
        GROUP BY a.patient_id, a.department_id, a.visit_date HAVING count(*) > max(v.per_department_day)""",
    ),
    Invariant(
        "R7",
        "an account with more holds than it may have",
        "一个账号同时最多保留两个号",
        """SELECT holder_account_id FROM appointment WHERE hospital_id = :hospital AND status = 'held'
        AND kind <> 'offer' AND holder_account_id IS NOT NULL GROUP BY holder_account_id HAVING count(*) > 2""",
    ),
    Invariant(
        "R7",
        "a browser without sign-in with more than one hold",
        "未登录的浏览器同时最多保留一个号",
        """SELECT min(id) FROM (SELECT CAST(id AS varchar(36)) AS id, holder FROM appointment
        WHERE hospital_id = :hospital AND status = 'held' AND holder_account_id IS NULL AND kind <> 'offer') h
        GROUP BY holder HAVING count(*) > 1""",
    ),
    Invariant(
        "R7",
        "a booking for somebody the account was never linked to",
        "账号只能给自己名下的就诊人预约",
        """SELECT a.id FROM appointment a WHERE a.hospital_id = :hospital AND a.account_id IS NOT NULL
        AND a.patient_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM patient_link l WHERE l.account_id = a.account_id AND l.patient_id = a.patient_id)""",
    ),
    Invariant(
        "R7",
        "one verified ID number on two patients",
        "一个已核验的证件号只对应一位就诊人",
        """SELECT min(id) FROM patient WHERE verified_at IS NOT NULL AND id_hash IS NOT NULL
        GROUP BY id_hash HAVING count(*) > 1""",
        PLATFORM,
    ),
    Invariant(
        "R7",
        "an account with more than five patients",
        "一个账号名下最多五位就诊人",
        """SELECT account_id FROM patient_link WHERE ended_at IS NULL
        GROUP BY account_id HAVING count(*) > 5""",
        PLATFORM,
    ),
    Invariant(
        "R10",
        "one browser with two holds of a slot",
        "双击只保留一个号",
        """SELECT slot_id FROM appointment WHERE hospital_id = :hospital AND status = 'held' AND holder IS NOT NULL
        GROUP BY holder, slot_id HAVING count(*) > 1""",
    ),
    Invariant(
        "R25",
        "a queue number given twice",
        "同一班次的排队号不重复",
        """SELECT session_id, queue_number FROM appointment WHERE hospital_id = :hospital
        AND queue_number IS NOT NULL GROUP BY session_id, queue_number HAVING count(*) > 1""",
    ),
    Invariant(
        "R25",
        "a queue number that the session has not counted",
        "排队号由班次依次发出，不会再发一次",
        f"""SELECT a.id FROM appointment a JOIN clinic_session s ON {of("s", "a", "session_id")}
        WHERE a.hospital_id = :hospital AND a.queue_number > s.last_queue_number""",
    ),
    Invariant(
        "R26",
        "a no-show in spite of a desk ticket",
        "有现场凭证的就诊不记爽约",
        """SELECT a.id FROM appointment a JOIN desk_ticket t ON t.hospital_id = a.hospital_id
        AND t.patient_id = a.patient_id AND t.visit_date = a.visit_date
        AND (t.department_id IS NULL OR t.department_id = a.department_id)
        WHERE a.hospital_id = :hospital AND a.status = 'no_show'""",
    ),
    Invariant(
        "R26",
        "a no-show of somebody who was checked in",
        "报到过的就诊不记爽约",
        "SELECT id FROM appointment WHERE hospital_id = :hospital AND status = 'no_show' AND arrived_at IS NOT NULL",
    ),
    Invariant(
        "R26",
        "a no-show counted twice",
        "一次预约最多记一次爽约",
        """SELECT appointment_id FROM appointment_event WHERE hospital_id = :hospital AND verb = 'no_show'
        GROUP BY appointment_id HAVING count(*) > 1""",
    ),
    Invariant(
        "R26",
        "a no-show before its session had ended",
        "班次结束以后才判断爽约",
        f"""SELECT a.id FROM appointment a JOIN clinic_session s ON {of("s", "a", "session_id")}
        JOIN appointment_event e ON e.hospital_id = a.hospital_id AND e.appointment_id = a.id
        AND e.verb = 'no_show' WHERE a.hospital_id = :hospital AND e.at < s.ends_at""",
    ),
)
