"""One-line tasks: each hands over to a function of a slice; and the schedule of those that run by the clock."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

from celery import current_task, shared_task

from booking import outbox, periodic
from booking.appointments import draw, expire, finish, keys, no_show, offers, wish_ends
from booking.notices import calls, receipts, reconcile, replies
from booking.notices import service as notices
from booking.people import service as people
from booking.schedule import service as schedule


def _every(seconds: int, task: str) -> dict[str, Any]:
    return {
        "task": f"worker.tasks.{task}",
        "schedule": float(seconds),
        "options": {"expires": float(seconds)},
    }


def _worker() -> str:
    """What a claimed letter says about who has it: the host and the process."""
    host = (
        current_task.request.hostname if current_task else None
    )  # none: a look of its own, no task from a queue
    return f"{host or socket.gethostname()}/{os.getpid()}"


SCHEDULE = {
    "letters": _every(2, "send_due"),
    "slow letters": _every(2, "send_slow"),
    "holds": _every(30, "sweep_holds"),
    "draws": _every(2, "draw_due"),
    "offers": _every(5, "offer_places"),
    "wishes": _every(60, "end_wishes"),
    "replies": _every(30, "answer_replies"),
    "session states": _every(60, "advance_sessions"),
    "no-shows": _every(300, "mark_no_shows"),
    "seen visits": _every(300, "finish_visits"),
    "coming sessions": _every(900, "generate_ahead"),
    "calls": _every(60, "list_calls"),
    "letters owed": _every(300, "reconcile_letters"),
    "retention": _every(3600, "remove_old"),
}


@shared_task
def send_due() -> None:
    """Send the letters that are due; any number of workers may do so at once, each letter has one lease."""
    notices.send_due(_worker(), channels=notices.QUICK)


@shared_task
def send_slow() -> None:
    """Send the due letters that servers of others take at their own pace; as `send_due`, and never before it."""
    notices.send_due(_worker(), channels=notices.SLOW)


@shared_task
def sweep_holds() -> None:
    """Tidy holds that ran out; they stopped counting when they ran out, so a gap changes nothing; once per 30 s."""
    if periodic.claim_run("sweep_holds", timedelta(seconds=30)):
        expire.sweep_holds()


@shared_task
def draw_due() -> None:
    """Carry out the draws whose release has come; any number of workers may do so at once, each draw happens once."""
    draw.draw_due()


@shared_task
def offer_places() -> None:
    """Offer places that came back to the waiting list; any number of workers may, one at a time asks in a hospital."""
    offers.offer_places()


@shared_task
def end_wishes() -> None:
    """End the wishes whose time is over; once per minute."""
    if periodic.claim_run("end_wishes", timedelta(minutes=1)):
        wish_ends.end_wishes()


@shared_task
def answer_replies() -> None:
    """Act on short messages that came in and were left over; each is acted on once, by any number of workers."""
    replies.answer_replies()


@shared_task
def advance_sessions() -> None:
    """Move sessions along their states; once per minute with any number of beats."""
    if periodic.claim_run("advance_sessions", timedelta(minutes=1)):
        schedule.advance_sessions()


@shared_task
def mark_no_shows() -> None:
    """Judge visits nobody has seen after their rule time; each is judged once, once per five minutes suffices."""
    if periodic.claim_run("mark_no_shows", timedelta(minutes=5)):
        no_show.mark_no_shows()


@shared_task
def finish_visits() -> None:
    """Finish visits of sessions long over that nobody finished by hand; each once, once per five minutes suffices."""
    if periodic.claim_run("finish_visits", timedelta(minutes=5)):
        finish.finish_visits()


@shared_task
def generate_ahead() -> None:
    """Keep the coming days' sessions made from the templates; once per quarter of an hour."""
    if periodic.claim_run("generate_ahead", timedelta(minutes=15)):
        schedule.generate_ahead()


@shared_task
def list_calls() -> None:
    """Put on the desk's call list whom no letter reached; once per minute."""
    if periodic.claim_run("list_calls", timedelta(minutes=1)):
        calls.list_calls()


@shared_task
def reconcile_letters() -> None:
    """Put the letters that visits lack; there should be none. Once per five minutes."""
    if periodic.claim_run("reconcile_letters", reconcile.SWEEP):
        reconcile.reconcile()


@shared_task
def remove_old() -> None:
    """Remove what is kept no longer than promised: codes, request keys, holds, wishes, old letters; once per hour."""
    if periodic.claim_run("remove_old", timedelta(hours=1)):
        outbox.remove_old()
        periodic.remove_old()
        people.remove_old()
        keys.remove_old_keys()
        expire.remove_old_holds()
        wish_ends.remove_old_wishes()
        notices.remove_old()
        receipts.remove_old()
        replies.remove_old()
