"""Periodic jobs: each runs once per scheduled time, whatever number of beats ask for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import String, bindparam, delete, select, text
from sqlalchemy.orm import Mapped, mapped_column

from booking.clock import db_now
from booking.db import Instant, Model, end_read, transaction


class PeriodicRun(Model):
    """A periodic job ran for one scheduled time; the key makes its effect happen once with any number of beats."""

    __tablename__ = "periodic_run"
    job: Mapped[str] = mapped_column(String(40), primary_key=True)
    scheduled_for: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(Instant)


def claim_run(job: str, every: timedelta) -> bool:
    """Return True once per scheduled time of `job` (the database's clock rounded down to `every`), False ever after.

    The key of the row decides. Everybody who comes later only reads, and takes no lock from anybody.
    """
    session = end_read()
    taken = select(PeriodicRun.job).where(
        PeriodicRun.job == job, PeriodicRun.scheduled_for == _scheduled(db_now(session), every)
    )
    if session.scalar(taken):
        end_read(session)
        return False
    with transaction() as session:
        now = db_now(session)
        run = {"job": job, "at": _scheduled(now, every), "now": now}
        return getattr(session.execute(_CLAIM, run), "rowcount", 0) == 1


def _scheduled(now: datetime, every: timedelta) -> datetime:
    seconds = int(every.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, tz=now.tzinfo)


_CLAIM = text(
    "INSERT INTO periodic_run (job, scheduled_for, started_at) VALUES (:job, :at, :now) ON CONFLICT DO NOTHING"
).bindparams(bindparam("at", type_=Instant()), bindparam("now", type_=Instant()))


def remove_old(days: int = 7) -> int:
    """Delete the marks of runs older than `days`; return how many. The scheduled times themselves are long over."""
    with transaction() as session:
        old = delete(PeriodicRun).where(PeriodicRun.scheduled_for < db_now(session) - timedelta(days=days))
        return int(getattr(session.execute(old), "rowcount", 0))
