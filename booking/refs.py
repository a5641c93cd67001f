"""Names of tenant rows in addresses and forms: `<hospital_id>-<uuid hex>`, short ones for links in messages, and the
converters that read them."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from werkzeug.routing import BaseConverter

from booking.errors import NotFound
from booking.vault import blind_index

Key = tuple[int, uuid.UUID]

SIGNS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Of a link's code: without i, l, o and u, so that it can be read aloud and typed (Crockford's base 32)."""
LONGEST_CODE = 16
_SECONDS, _MARK = 30, 28
"""Bits of a link's code for the second in which the row was made, counted from 2024, and for its keyed mark."""
_SINCE = 1_704_067_200

_PATTERN = r"[1-9][0-9]{0,15}-[0-9a-f]{32}"
_ref = re.compile(_PATTERN)


def ref(row: Any, id: uuid.UUID | None = None) -> str:
    """Return the name of a tenant row, of a `(hospital_id, id)` pair, or of a hospital's id and a row's id."""
    if id is not None:
        return f"{row}-{id.hex}"
    hospital_id, row_id = (row.hospital_id, row.id) if hasattr(row, "hospital_id") else row
    return f"{hospital_id}-{row_id.hex}"


def parse_ref(text: str) -> Key:
    """Return `(hospital_id, id)`; raises NotFound when the text has not the shape of a name."""
    if not _ref.fullmatch(text):
        raise NotFound("没有找到这一项，可能链接不完整。")
    hospital_id, _, row_id = text.partition("-")
    return int(hospital_id), uuid.UUID(row_id)


@dataclass(frozen=True)
class Sought:
    """What a link's code says: a row of this hospital with an id from `first` to before `end` that has this mark."""

    hospital_id: int
    first: uuid.UUID
    end: uuid.UUID
    mark: int

    def is_it(self, id: uuid.UUID) -> bool:
        """Whether a row with this id is the one that is meant."""
        return _mark(self.hospital_id, id) == self.mark


def link_code(hospital_id: int, id: uuid.UUID) -> str:
    """Return the name of a tenant row in the link of a short message: about 12 signs that only we can make.

    It is made of the hospital, the second of the row's id (they are made in the order of time) and a keyed mark; nothing
    is stored for it. It names a row and opens nothing by itself.
    """
    second = ((id.int >> 80) // 1000 - _SINCE) % (1 << _SECONDS)
    number = ((hospital_id << _SECONDS) | second) << _MARK | _mark(hospital_id, id)
    said = ""
    while number:
        number, sign = divmod(number, len(SIGNS))
        said = SIGNS[sign] + said
    return said


def read_link_code(text: str) -> Sought:
    """Return what a link's code says, small or large letters alike; raises NotFound when no code has this shape."""
    said = text.lower().translate(str.maketrans("ilo", "110"))
    if not said or len(said) > LONGEST_CODE or not set(said) <= set(SIGNS):
        raise NotFound(NO_SUCH_LINK)
    number = 0
    for sign in said:
        number = number * len(SIGNS) + SIGNS.index(sign)
    milliseconds = ((number >> _MARK) % (1 << _SECONDS) + _SINCE) * 1000
    first, end = (uuid.UUID(int=at << 80) for at in (milliseconds, milliseconds + 1000))
    return Sought(number >> (_SECONDS + _MARK), first, end, number % (1 << _MARK))


NO_SUCH_LINK = "没有找到这个链接对应的内容，可能链接没有复制完整。请核对短信，或直接登录查看。"


def _mark(hospital_id: int, id: uuid.UUID) -> int:
    return int(blind_index("link", f"{hospital_id}-{id.hex}")[:16], 16) % (1 << _MARK)


class RefConverter(BaseConverter):
    """`<ref:hold>` in a route gives `(hospital_id, id)`; any other shape is 404."""

    regex = _PATTERN

    def to_python(self, value: str) -> Key:
        return parse_ref(value)

    def to_url(self, value: Any) -> str:
        return value if isinstance(value, str) else ref(value)


class NumberConverter(BaseConverter):
    """`<number:id>`: a platform-wide id that fits every database's bigint; any other shape is 404."""

    regex = r"[1-9][0-9]{0,15}"

    def to_python(self, value: str) -> int:
        return int(value)


class SlugConverter(BaseConverter):
    """`<slug:name>`: letters (of any script), digits, hyphen and underscore, at most 80; any other shape is 404."""

    regex = r"[\w-]{1,80}"


CONVERTERS: dict[str, type[BaseConverter]] = {
    "ref": RefConverter,
    "number": NumberConverter,
    "slug": SlugConverter,
}
