"""The forms about one visit: checking in, cancelling, moving, a no-show, and ringing somebody."""

from __future__ import annotations

import re

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, RadioField, StringField
from wtforms.validators import Length, NumberRange, ValidationError
from wtforms.widgets import HiddenInput

from booking.desk.forms import Needed, choice_with, narrow, offered, plain
from booking.desk.labels import WISHES
from booking.notices.letters import LONGEST_IN_SHORT


class CheckInForm(FlaskForm):
    """The scanner's field."""

    code = StringField(_l("预约码"), validators=[Needed(_l("请扫码或输入 8 位预约码"))], filters=[narrow])

    def validate_code(self, field: StringField) -> None:
        digits = re.sub(r"[\s-]", "", field.data or "")
        if not re.fullmatch(r"[0-9]{8}", digits):
            raise ValidationError(_("预约码是 8 位数字，请再扫一次"))
        field.data = digits


class CancelForm(FlaskForm):
    """Cancelling says at whose wish, which is what people are told, and why."""

    by = RadioField(
        _l("谁要取消"),
        choices=offered(WISHES.items()),
        default="patient",
        **choice_with(_l("请选择是患者要求还是医院原因")),
    )
    reason = StringField(
        _l("取消原因"),
        validators=[
            Needed(_l("请填写取消原因，会记入修改记录")),
            Length(max=200, message=_l("取消原因最多 200 个字")),
        ],
        filters=[plain],
    )


class MoveForm(FlaskForm):
    """The slot a patient is moved to, and at whose wish, which is what people are told."""

    by = RadioField(
        _l("谁要改约"),
        choices=offered(WISHES.items()),
        **choice_with(_l("请选择是患者要求还是医院原因")),
    )
    slot = StringField(_l("新的时间"), validators=[Needed(_l("请选择新的时间"))], filters=[narrow])
    reason = StringField(
        _l("改约原因"), validators=[Length(max=200, message=_l("改约原因最多 200 个字"))], filters=[plain]
    )
    override = StringField(
        _l("仍要改到这里的原因"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )

    def validate_reason(self, field: StringField) -> None:
        count = len(field.data or "")
        if self.by.data == "hospital" and count > LONGEST_IN_SHORT:
            told = _(
                "医院原因会写进通知，最多 %(n)s 个字，现在有 %(count)s 个", n=LONGEST_IN_SHORT, count=count
            )
            raise ValidationError(told)


class TicketForm(FlaskForm):
    """How the desk knows that somebody was here."""

    note = StringField(
        _l("怎么知道来过"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )


class CallForm(FlaskForm):
    """What came of ringing somebody; `tries` is how many tries the page showed."""

    tries = IntegerField(
        widget=HiddenInput(), default=0, validators=[NumberRange(0, 1000, message=_l("请刷新页面再试"))]
    )
    note = StringField(_l("备注"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain])


class AnswerForm(FlaskForm):
    """What the hospital answers to an appeal; `act` is accept or decline."""

    act = HiddenField()
    answer = StringField(
        _l("答复"), validators=[Length(max=200, message=_l("答复最多 200 个字"))], filters=[plain]
    )


class UndoCheckInForm(FlaskForm):
    """Why a check-in was a mistake."""

    why = StringField(
        _l("撤销原因"),
        validators=[
            Needed(_l("请填写撤销报到的原因，会记入修改记录")),
            Length(max=200, message=_l("撤销原因最多 200 个字")),
        ],
        filters=[plain],
    )
