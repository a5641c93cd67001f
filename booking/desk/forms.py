"""What the desk's forms are made of: they check the shape of what was typed and say what is wrong; rules judge the rest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date as Date
from datetime import time
from typing import Any, ClassVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, PasswordField, SelectField, StringField
from wtforms.fields import Field
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import Length, StopValidation, ValidationError
from wtforms.widgets import TextInput

_CLOCK = re.compile(r"([0-9]{1,2})(?::?([0-5][0-9]))?")
_DATE = re.compile(r"([0-9]{4})(?:[-/.年])?([0-9]{1,2})(?:[-/.月])?([0-9]{1,2})")
_YUAN = re.compile(r"([0-9]{1,5})(?:[.]([0-9]{1,2}))?")
EARLIEST, LATEST = Date(2000, 1, 1), Date(2100, 12, 31)


def plain(text: str | None) -> str:
    """Return typed text on one line without control signs, full-width digits and colons made narrow.

    PostgreSQL refuses NUL in text; other invisible signs only hide something from the next reader.
    """
    if not text:
        return ""
    kept = (" " if sign.isspace() else sign for sign in text)
    shown = "".join(sign for sign in kept if unicodedata.category(sign) not in ("Cc", "Cs", "Co", "Cn"))
    return " ".join(shown.split())


def narrow(text: str | None) -> str:
    """Return `plain` text with full-width letters, digits and signs made narrow, for codes and times."""
    return unicodedata.normalize("NFKC", plain(text)).strip()


def read_clock(text: str | None) -> time | None:
    """Return the time of day meant by 「8」, 「830」, 「08:30」, 「8：30」 (24 hours), or None."""
    found = _CLOCK.fullmatch(narrow(text).replace(" ", "").replace(".", ":").replace("点", ":").rstrip(":分"))
    if not found or int(found[1]) > 23:
        return None
    return time(int(found[1]), int(found[2] or 0))


def read_yuan(text: str | None) -> int | None:
    """Return the cents of an amount in yuan such as 「25」 or 「25.5 元」, or None."""
    found = _YUAN.fullmatch(narrow(text).removesuffix("元").strip())
    if not found:
        return None
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def read_date(text: str | None) -> Date | None:
    """Return a date written 2026-11-25, 2026/11/25, 20261125 or 2026年11月25日, or None.

    Years no schedule can mean are refused like impossible dates.
    """
    found = _DATE.fullmatch(narrow(text).replace(" ", "").rstrip("日"))
    if not found:
        return None
    try:
        read = Date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
    return read if EARLIEST <= read <= LATEST else None


class ClockField(Field):
    """A wall-clock time as people type it; shows what was typed until it is understood."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data and self.errors:
            return str(self.raw_data[0])
        return self.data.strftime("%H:%M") if isinstance(self.data, time) else ""

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if valuelist and narrow(valuelist[0]):
            self.data = read_clock(valuelist[0])
            if self.data is None:
                raise ValueError(_("时间写成 8、830 或 08:30 都可以，请用 24 小时制"))


class YuanField(Field):
    """An amount in yuan, kept in cents."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data and self.errors:
            return str(self.raw_data[0])
        if not isinstance(self.data, int):
            return ""
        return f"{self.data // 100}" if self.data % 100 == 0 else f"{self.data / 100:.2f}"

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if valuelist and narrow(valuelist[0]):
            self.data = read_yuan(valuelist[0])
            if self.data is None:
                raise ValueError(_("费用写元，例如 25 或 25.5，最多 10000"))


class DayField(Field):
    """A date; years outside a schedule's reach are refused like any other impossible date."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data and self.errors:
            return str(self.raw_data[0])
        return self.data.isoformat() if isinstance(self.data, Date) else ""

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if valuelist and narrow(valuelist[0]):
            self.data = read_date(valuelist[0])
            if self.data is None:
                raise ValueError(_("日期写成 2026-11-25 这样，请检查月份和日子"))


class CountField(IntegerField):
    """A whole number; anything else is one sentence."""

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        self.data = None
        if not valuelist or not narrow(valuelist[0]):
            return
        if not re.fullmatch(r"[0-9]{1,4}", narrow(valuelist[0])):
            raise ValueError(_("请填写整数"))
        self.data = int(narrow(valuelist[0]))


class Needed:
    """Something was typed that means something; blanks are nothing, 0 is something."""

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __init__(self, sentence: Any) -> None:
        self.sentence = sentence

    def __call__(self, form: FlaskForm, field: Field) -> None:
        if field.errors:
            raise StopValidation
        if field.data is None or field.data == "":
            raise StopValidation(self.sentence)


def choice_with(sentence: Any) -> dict[str, Any]:
    """Return the settings of a field of choices; the sentence is for a value that is none of them (old page, forged)."""
    return {"validate_choice": False, "validators": [Needed(sentence), OneOfChoices(sentence)]}


class OneOfChoices:
    """The value is one of the field's choices; WTForms' own sentence is not ours."""

    def __init__(self, sentence: Any) -> None:
        self.sentence = sentence

    def __call__(self, form: FlaskForm, field: SelectField) -> None:
        offered_values: set[str] = {choice.value for choice in field.choices or ()}  # type: ignore[union-attr]
        if str(field.data) not in offered_values:
            raise ValidationError(self.sentence)


def offered(pairs: Iterable[tuple[str, Any]]) -> list[SelectChoice]:
    """Return (value, words) pairs as the choices of a select."""
    return [SelectChoice(value, words) for value, words in pairs]


class SignInForm(FlaskForm):
    """Who signs in for which hospital."""

    username = StringField(
        _l("账号"),
        validators=[
            Needed(_l("请填写账号，例如 heyu@linlan-1")),
            Length(max=120, message=_l("账号太长了，请检查")),
        ],
        filters=[narrow],
    )
    password = PasswordField(
        _l("密码"), validators=[Needed(_l("请填写密码")), Length(max=200, message=_l("密码太长了，请检查"))]
    )
    next = HiddenField()
