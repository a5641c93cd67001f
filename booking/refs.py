"""Names of tenant rows in addresses and forms: `<hospital_id>-<uuid hex>`, and the converters that read them."""

from __future__ import annotations

import re
import uuid
from typing import Any

from werkzeug.routing import BaseConverter

from booking.errors import NotFound

Key = tuple[int, uuid.UUID]

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
