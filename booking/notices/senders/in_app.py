"""Letters shown inside the product itself."""

from __future__ import annotations

from booking.notices.senders.provider import Outcome, Outgoing, Provider, Sent


def in_app() -> Provider:
    """Return the carrier of in-app letters: one arrives by being stored in its own row, which the caller does."""
    return Provider("app", "app", at_once=1000, per_second=0, send=_stored, keeps_reference=True)


def _stored(batch: list[Outgoing]) -> list[Outcome]:
    return [Sent("delivered") for _ in batch]
