"""Letters of the demo, shown on a page instead of leaving the building."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.clock import db_now
from booking.db import transaction
from booking.notices.models import DemoLetter
from booking.notices.senders.provider import Outgoing, Provider, Sent, one_by_one

log = logging.getLogger(__name__)


def demo_page(channel: str, settings: Mapping[str, Any]) -> Provider:
    """Return the carrier that shows letters on the demo's page. Raises RuntimeError outside the demo."""
    if not settings["DEMO"]:
        raise RuntimeError("letters are shown on a page only in the demo")

    def show(outgoing: Outgoing) -> Sent:
        letter, reference = outgoing.letter, outgoing.reference
        shown = DemoLetter(
            channel=channel,
            reference=reference,
            to=outgoing.address,
            subject=letter.subject,
            body=letter.text,
        )
        try:
            with transaction() as session:
                known = select(DemoLetter.id).where(DemoLetter.reference == reference)
                if session.scalar(known) is None:
                    shown.at = db_now(session)
                    session.add(shown)
        except IntegrityError:  # another worker showed the same letter at the same moment
            log.info("demo letter %s was shown before", reference)
        log.info("demo letter %s shown (%s)", reference, channel)
        return Sent("accepted", f"demo-{reference}")

    return Provider("demo", channel, at_once=20, per_second=0, send=one_by_one(show), keeps_reference=True)
