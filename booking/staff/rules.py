"""Who may do what: one table, read by the verbs through `actor`."""

from __future__ import annotations

from dataclasses import dataclass

from booking.errors import NotAllowed

ROLES = {"scheduler": "排班员", "desk": "分诊台", "doctor": "医生", "admin": "管理员"}

MAY: dict[str, frozenset[str]] = {
    # people at the patient pages
    "browser": frozenset({"hold", "extend_hold", "release_hold"}),
    "account": frozenset(
        {
            "hold",
            "extend_hold",
            "release_hold",
            "confirm",
            "cancel",
            "move",
            "confirm_coming",
            "read_appointment",
            "appeal",
            "enter_draw",
            "join_wish",
            "leave_wish",
            "accept_offer",
            "decline_offer",
        }
    ),
    "code": frozenset({"cancel", "confirm_coming", "read_appointment", "appeal"}),
    # staff of one hospital
    "scheduler": frozenset(
        {
            "read_schedule",
            "read_own_schedule",
            "change_template",
            "apply_template",
            "change_session",
            "publish",
            "stop_session",
            "reopen_session",
            "read_delivery",
            "make_calls",
        }
    ),
    "desk": frozenset(
        {
            "read_schedule",
            "read_own_schedule",
            "read_day",
            "read_appointment",
            "check_in",
            "undo_check_in",
            "finish",
            "cancel",
            "move",
            "excuse",
            "answer_appeal",
            "book_at_desk",
            "register_patient",
            "add_extra",
            "leave_wish",
            "accept_offer",
            "decline_offer",
            "read_delivery",
            "resend",
            "make_calls",
        }
    ),
    "doctor": frozenset({"read_own_schedule"}),
    "admin": frozenset(
        {
            "read_schedule",
            "read_own_schedule",
            "change_template",
            "apply_template",
            "change_session",
            "publish",
            "stop_session",
            "reopen_session",
            "read_day",
            "read_appointment",
            "check_in",
            "undo_check_in",
            "finish",
            "cancel",
            "move",
            "excuse",
            "answer_appeal",
            "book_at_desk",
            "register_patient",
            "add_extra",
            "leave_wish",
            "accept_offer",
            "decline_offer",
            "read_delivery",
            "resend",
            "make_calls",
        }
    ),
    # the worker and the terminal
    "system": frozenset(
        {
            "apply_template",
            "change_session",
            "publish",
            "stop_session",
            "reopen_session",
            "change_template",
            "expire",
            "draw",
            "offer_places",
            "end_wishes",
        }
    ),
}


@dataclass(frozen=True)
class Actor:
    """Who does something. `kind` is a key of MAY; staff carry their hospital, people carry none.

    `id` is what the event row keeps: the account id, the staff member's id, or the holder's hash.
    """

    kind: str
    id: str = ""
    name: str = ""
    hospital_id: int | None = None
    account_id: int | None = None
    doctor_id: str | None = None

    @property
    def is_staff(self) -> bool:
        return self.kind in ROLES


SYSTEM = Actor("system", "system", "系统")


def may(actor: Actor, verb: str, hospital_id: int) -> bool:
    """Whether `actor` may do `verb` in that hospital."""
    if verb not in MAY.get(actor.kind, frozenset()):
        return False
    return not actor.is_staff or actor.hospital_id == hospital_id


def ensure_may(actor: Actor, verb: str, hospital_id: int) -> None:
    """Raise NotAllowed unless `actor` may do `verb` in that hospital."""
    if not may(actor, verb, hospital_id):
        raise NotAllowed(verb=verb)
