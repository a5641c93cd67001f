"""The patient pages' forms: they check the shape of what was typed; what it means is checked by the slices' rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    Field,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.widgets import CheckboxInput, ListWidget

from booking.errors import Refusal
from booking.people.preferences import LANGUAGES
from booking.people.rules import GUARDIAN_RELATIONS, ID_TYPES, RELATIONS
from booking.web.inputs import digits, line, plain

COMPLAINT_MOST = 200
REFERRAL_MOST = 80

Check = Callable[[Any, Field], None]


def offered(pairs: Iterable[tuple[str, Any]]) -> Any:
    """Return pairs of value and words as a field's choices."""
    return [SelectChoice(value, words) for value, words in pairs]


def needed(sentence: Any) -> Check:
    """The field must not be empty; `sentence` says so."""

    def check(_form: Any, field: Field) -> None:
        if not field.data:
            raise ValidationError(sentence)

    return check


def one_of_the_choices(sentence: Any) -> Check:
    """The value must be one that was offered."""

    def check(_form: Any, field: Any) -> None:
        if field.data not in [one.value for one in field.choices]:
            raise ValidationError(sentence)

    return check


def at_most(most: int) -> Check:
    """The text must not be longer than `most` signs."""

    def check(_form: Any, field: Field) -> None:
        if len(field.data or "") > most:
            raise ValidationError(_("最多 %(most)s 字，现在是 %(n)s 字", most=most, n=len(field.data)))

    return check


def stripped(text: str | None) -> str:
    return plain(text)


def one_line(text: str | None) -> str:
    return " ".join(plain(text).split())


def put_errors(form: FlaskForm, refusal: Refusal) -> list[dict[str, Any]]:
    """Put a rule's sentences on the form's fields; return those that belong to no field, as problems of the page."""
    errors: dict[str, str] = dict(refusal.facts.get("errors") or {})
    if not errors and refusal.facts.get("field"):
        errors[str(refusal.facts["field"])] = refusal.text
    loose: list[dict[str, Any]] = []
    for name, sentence in errors.items():
        field = form._fields.get({"birth_date": "birth_year"}.get(name, name))
        if field is None:
            loose.append({"text": sentence, "href": "", "more": None})
        else:
            field.errors = [*field.errors, sentence]
    return loose if errors else [{"text": refusal.text, "href": "", "more": None}]


class CheckboxesField(SelectMultipleField):
    """Any number of choices as checkboxes; what was not offered is refused."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()

    def pre_validate(self, form: Any) -> None:
        known: set[str] = {one.value for one in self.choices or ()}  # type: ignore[union-attr]
        if set(self.data or ()) - known:
            raise ValidationError(_("请从列出的选项里选"))


class PhoneForm(FlaskForm):
    phone = StringField(_l("手机号"), filters=[digits])


class CodeForm(FlaskForm):
    code = StringField(_l("验证码"), filters=[digits], validators=[needed(_l("请填写 6 位验证码"))])


class FindForm(FlaskForm):
    code = StringField(_l("预约码"), filters=[digits], validators=[needed(_l("请填写 8 位预约码"))])
    tail = StringField(_l("手机号后四位"), filters=[digits], validators=[needed(_l("请填写手机号后四位"))])


class ConfirmForm(FlaskForm):
    request_key = HiddenField(filters=[line])
    patient = RadioField(
        _l("就诊人"), validate_choice=False, validators=[one_of_the_choices(_l("请选择就诊人"))]
    )
    complaint = TextAreaField(
        _l("这次主要哪里不舒服"), filters=[stripped], validators=[at_most(COMPLAINT_MOST)]
    )
    referral = StringField(_l("转诊单号和开单医院"), filters=[one_line], validators=[at_most(REFERRAL_MOST)])
    reminders = BooleanField(_l("就诊前提醒我"), default=True)


class DrawForm(FlaskForm):
    """Who enters a draw, and which time they would like best."""

    patient = RadioField(
        _l("谁来看病"), validate_choice=False, validators=[one_of_the_choices(_l("请选择就诊人"))]
    )
    first = SelectField(
        _l("最想要的时间"), validate_choice=False, validators=[one_of_the_choices(_l("请选择一个时间"))]
    )
    others = BooleanField(_l("这个时间没有了，其他时间也可以"), default=True)


class MoveForm(FlaskForm):
    request_key = HiddenField(filters=[line])
    slot = HiddenField(filters=[line])


class WishForm(FlaskForm):
    request_key = HiddenField(filters=[line])
    patients = CheckboxesField(_l("给谁候补"), validate_choice=False, validators=[needed(_l("请选择就诊人"))])
    first = SelectField(_l("最早哪一天"), validate_choice=False)
    last = SelectField(_l("最晚哪一天"), validate_choice=False)
    parts = CheckboxesField(_l("哪个时段"), validate_choice=False)
    department = BooleanField(_l("同科室的医生都可以"))
    doctors = CheckboxesField(_l("哪位医生"), validate_choice=False)
    departments = CheckboxesField(_l("别的科室的医生也可以"), validate_choice=False)
    campuses = CheckboxesField(_l("哪个院区"), validate_choice=False)
    kinds = CheckboxesField(_l("哪种号别"), validate_choice=False)


REASONS = (
    ("", _l("不想说")),
    ("time", _l("时间不合适")),
    ("better", _l("已经好了，不用看了")),
    ("elsewhere", _l("去了别的医院")),
    ("mistake", _l("约错了")),
    ("other", _l("其他")),
)


class AppealForm(FlaskForm):
    """What happened on the day; the rule says how long it may be."""

    reason = TextAreaField(_l("当时的情况"), filters=[stripped])


class CancelForm(FlaskForm):
    request_key = HiddenField(filters=[line])
    reason = RadioField(
        _l("原因（选填）"),
        choices=offered(REASONS),
        default="",
        validate_choice=False,
        validators=[one_of_the_choices(_l("请从列出的原因里选一个，或选“不想说”"))],
    )


BIRTH = ("birth_year", "birth_month", "birth_day")


class PatientForm(FlaskForm):
    """Every check stands in people/rules.py, so that all sentences come at once."""

    relation = SelectField(_l("和我的关系"), choices=offered(RELATIONS.items()), validate_choice=False)
    name = StringField(_l("姓名"), filters=[one_line])
    id_type = SelectField(_l("证件类型"), choices=offered(ID_TYPES.items()), validate_choice=False)
    id_number = StringField(_l("证件号码"), filters=[digits])
    birth_year = StringField(_l("年"), filters=[digits])
    birth_month = StringField(_l("月"), filters=[digits])
    birth_day = StringField(_l("日"), filters=[digits])
    sex = RadioField(_l("性别"), choices=offered([("f", _l("女")), ("m", _l("男"))]), validate_choice=False)
    phone = StringField(_l("就诊人手机号"), filters=[digits])
    guardian_name = StringField(_l("监护人姓名"), filters=[one_line])
    guardian_phone = StringField(_l("监护人手机号"), filters=[digits])
    guardian_relation = SelectField(
        _l("和就诊人的关系"),
        choices=offered([("", _l("请选择")), *GUARDIAN_RELATIONS.items()]),
        default="",
        validate_choice=False,
    )
    consent_id = BooleanField(_l("同意保存姓名和证件号码"))
    consent_guardian = BooleanField(_l("我是监护人，同意为这个孩子预约并保存上面的信息"))
    consent_health = BooleanField(_l("同意把预约和病情说明交给接诊医院"))


class SettingsForm(FlaskForm):
    language = RadioField(
        _l("通知用哪种语言"),
        choices=offered(LANGUAGES.items()),
        default="zh",
        validate_choice=False,
        validators=[one_of_the_choices(_l("请从列出的语言里选一种"))],
    )
    reminders = BooleanField(_l("就诊前提醒我"))
    channels = CheckboxesField(_l("提醒发到哪里"), validate_choice=False)
    patients = CheckboxesField(_l("也提醒就诊人自己的手机"), validate_choice=False)
    email = StringField(_l("邮箱"), filters=[line])


class AskForm(FlaskForm):
    """The assistant's question; a GET form, so that nothing is kept and the page can be reopened."""

    class Meta:
        csrf = False

    q = TextAreaField(_l("哪里不舒服"), filters=[stripped], validators=[at_most(300)])


class FilterForm(FlaskForm):
    """The doctor list's filters; a value that is not offered counts as no filter."""

    class Meta:
        csrf = False

    dept = SelectField(_l("科室"), validate_choice=False)
    hospital = SelectField(_l("医院"), validate_choice=False)
    date = SelectField(_l("日期"), validate_choice=False)
    half = SelectField(_l("时段"), validate_choice=False)
    title = SelectField(_l("职称"), validate_choice=False)
    sex = SelectField(_l("医生性别"), validate_choice=False)
    sort = SelectField(_l("排序"), validate_choice=False)


def chosen(field: SelectField, pairs: Sequence[tuple[str, str]]) -> str:
    """Offer `pairs` (value, words) in a filter, and return the chosen value, "" for none or one not offered."""
    field.choices = offered(pairs)
    if field.data not in dict(pairs):
        field.data = ""
    return field.data or ""
