"""Refusals: business answers that are safe to show to a person; and what may be logged of any other error."""

from __future__ import annotations

import traceback
from typing import Any


class Refusal(Exception):
    """What happened, in words a person can act on. `status` is the HTTP answer a door gives.

    `message` is a sentence with %(name)s places so that it can be translated; `facts` fills them
    and may carry more (alternatives, ids) for the door. A refusal has changed nothing.
    """

    status = 409
    message = "现在不能完成这个操作。"

    def __init__(self, message: str | None = None, /, **facts: Any) -> None:
        self.template = message or self.message
        self.facts = facts
        super().__init__(self.template)

    @property
    def text(self) -> str:
        """The sentence with its places filled."""
        return self.template % self.facts if self.facts else self.template


class NotFound(Refusal):
    status = 404
    message = "没有找到。"


class NotAllowed(Refusal):
    status = 403
    message = "你的账号没有做这件事的权限。"


class BadInput(Refusal):
    """A value that cannot be meant; `facts['field']` names the field when one is to blame."""

    status = 422
    message = "填写的内容有误，请检查。"


class TooMany(Refusal):
    status = 429
    message = "操作太快了，请稍后再试。"


def where(problem: BaseException) -> str:
    """Name an error by kind and place; its own words may carry somebody's name or number."""
    frames = traceback.extract_tb(problem.__traceback__)
    last = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(problem).__name__}{last}"
