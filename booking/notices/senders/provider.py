"""What a provider is: it takes letters for its channel and says of each what became of it.

A provider is called with no database connection held. The reference of a letter is the same at every try, so that a
provider that honours it delivers once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from booking.errors import where

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rendered:
    """What one letter says: `subject` for pages and e-mail, `text`, and for e-mail a page and a calendar entry.

    `template` names the sentences it was filled from (kind.channel) and `variables` what was put in their places, in
    order: where a carrier sends approved templates only, these two go out in the place of the text. `page` is the path on
    this site that a WeChat message leads to.
    """

    subject: str
    text: str
    html: str = ""
    calendar: bytes = b""
    calendar_method: str = "REQUEST"
    template: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    page: str = ""


@dataclass(frozen=True)
class Outgoing:
    """One letter on its way out: where to, what, and under which reference."""

    address: str
    letter: Rendered
    reference: str


@dataclass(frozen=True)
class Sent:
    """The letter left: `status` delivered or accepted, the provider's own name for it, the short messages it took."""

    status: str
    provider_ref: str = ""
    segments: int = 0


class Permanent(Exception):
    """This letter can never arrive; `why` says it without personal data."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NoText(Permanent):
    """Letters of this kind are not sent over this channel; nothing went wrong."""


class Temporary(Exception):
    """A later try may succeed; `why` says without personal data what went wrong.

    `wait`: seconds the provider asked for. `ambiguous`: the provider may have taken the letter before the trouble.
    `ours`: our settings are wrong, not this letter; somebody must mend them. `this_letter`: the provider works, only this
    letter has to wait (its phone has had enough, its kind has no approved template).
    """

    def __init__(
        self,
        why: str,
        wait: float = 0.0,
        ambiguous: bool = False,
        ours: bool = False,
        this_letter: bool = False,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.wait = wait
        self.ambiguous = ambiguous
        self.ours = ours
        self.this_letter = this_letter


Outcome = Sent | Permanent | Temporary
"""What became of one letter; refusals are values here, so that one bad letter does not hide the others' outcomes."""


@dataclass
class Provider:
    """Who carries letters of one channel. `send` takes up to `at_once` letters and returns one outcome each, in order.

    `per_second`: letters it takes in a second; 0: no limit known. `send` raises nothing. `keeps_reference`: it knows a
    letter again by our reference and delivers it once, however often it is asked.
    """

    name: str
    channel: str
    at_once: int
    per_second: float
    send: Callable[[list[Outgoing]], list[Outcome]]
    keeps_reference: bool = False


def one_by_one(send_one: Callable[[Outgoing], Sent]) -> Callable[[list[Outgoing]], list[Outcome]]:
    """Return a `send` for letters that leave singly; `send_one` returns a Sent or raises Permanent or Temporary.

    An error nobody foresaw may have struck after the provider took the letter, and counts as that.
    """

    def send(batch: list[Outgoing]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for outgoing in batch:
            try:
                outcomes.append(send_one(outgoing))
            except (Permanent, Temporary) as refused:
                outcomes.append(refused)
            except Exception as problem:
                log.error("letter %s: unforeseen %s", outgoing.reference, where(problem))
                outcomes.append(Temporary(f"unforeseen: {where(problem)}", ambiguous=True))
        return outcomes

    return send
