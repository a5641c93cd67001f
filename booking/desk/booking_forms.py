"""The forms of booking and answering at the desk: who, how they came, and what is said about it."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from booking.desk.forms import DayField, Needed, narrow, offered, plain

VIA = [("phone", _l("来电")), ("desk", _l("在现场"))]
ID_TYPES = [
    ("resident", _l("居民身份证")),
    ("passport", _l("护照")),
    ("permit", _l("港澳台居民通行证")),
    ("birth", _l("出生医学证明")),
    ("none", _l("暂时没有证件")),
]
SEXES = [("", _l("请选择")), ("f", _l("女")), ("m", _l("男"))]
RELATIONS = [
    ("", _l("请选择")),
    ("parent", _l("父母")),
    ("grandparent", _l("祖父母或外祖父母")),
    ("other", _l("其他监护人")),
]


class BookForm(FlaskForm):
    """The last page of booking for a patient; `key` makes a second press harmless."""

    key = HiddenField(filters=[narrow], validators=[Length(max=64)])
    via = RadioField(
        _l("患者怎么来的"), choices=offered(VIA), validators=[InputRequired(_l("请选择来电还是在现场"))]
    )
    complaint = StringField(
        _l("主要哪里不舒服"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )
    referral = StringField(
        _l("转诊单号和开单医院"), validators=[Length(max=80, message=_l("最多 80 个字"))], filters=[plain]
    )
    override = StringField(
        _l("仍要预约的原因"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )


class OfferForm(FlaskForm):
    """What somebody who waits answers through the desk; `offer` is the time they were read out."""

    key = HiddenField(filters=[narrow], validators=[Length(max=64)])
    offer = HiddenField(filters=[narrow])
    referral = StringField(
        _l("转诊单号和开单医院"), validators=[Length(max=80, message=_l("最多 80 个字"))], filters=[plain]
    )


class ExtraForm(FlaskForm):
    """加号: who answers for it, and why."""

    key = HiddenField(filters=[narrow], validators=[Length(max=64)])
    via = RadioField(
        _l("患者怎么来的"),
        choices=offered(VIA),
        default="desk",
        validators=[InputRequired(_l("请选择来电还是在现场"))],
    )
    owner = RadioField(_l("谁同意加号"), validators=[InputRequired(_l("请选择是谁同意加号的"))])
    reason = StringField(
        _l("加号原因"),
        validators=[
            Needed(_l("请填写加号原因，会记入修改记录")),
            Length(max=200, message=_l("最多 200 个字")),
        ],
        filters=[plain],
    )
    override = StringField(
        _l("仍要预约的原因"), validators=[Length(max=200, message=_l("最多 200 个字"))], filters=[plain]
    )


class NewPatientForm(FlaskForm):
    """A patient entered at the desk. The people slice judges the values; only lengths are checked here."""

    name = StringField(
        _l("姓名"), validators=[Length(max=60, message=_l("姓名太长了，请检查"))], filters=[plain]
    )
    id_type = SelectField(_l("证件类型"), choices=offered(ID_TYPES), validate_choice=False)
    id_number = StringField(
        _l("证件号码"), validators=[Length(max=40, message=_l("证件号码太长了，请检查"))], filters=[narrow]
    )
    id_seen = BooleanField(_l("已核对证件原件"))
    birth_date = DayField(_l("出生日期"))
    sex = SelectField(_l("性别"), choices=offered(SEXES), validate_choice=False)
    phone = StringField(
        _l("手机号"), validators=[Length(max=40, message=_l("手机号太长了，请检查"))], filters=[narrow]
    )
    guardian_name = StringField(
        _l("监护人姓名"), validators=[Length(max=60, message=_l("姓名太长了，请检查"))], filters=[plain]
    )
    guardian_phone = StringField(
        _l("监护人手机号"), validators=[Length(max=40, message=_l("手机号太长了，请检查"))], filters=[narrow]
    )
    guardian_relation = SelectField(
        _l("监护人与患者的关系"), choices=offered(RELATIONS), validate_choice=False
    )
    consent_id = BooleanField(_l("患者同意保存证件号码，用于核对身份和按规定实名就诊"))
    consent_health = BooleanField(_l("患者同意医院处理就诊信息，用于预约和就诊"))
    consent_guardian = BooleanField(_l("未满 14 岁：监护人同意以上两项"))

    def validate_birth_date(self, field: DayField) -> None:
        if self.id_type.data != "resident" and field.data is None and not field.errors:
            raise ValidationError(_("请填写出生日期，例如 1958-03-09"))
