"""Codes, accounts and patients: what is stored, what counts, and what never stands in clear."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from stdnum.iso7064 import mod_11_2

from booking.db import Model, db, transaction
from booking.errors import BadInput, NotFound, Refusal, TooMany
from booking.outbox import PLATFORM, Message
from booking.people.models import Account, Consent, OneTimeCode, Patient, PatientLink
from booking.people.preferences import set_email
from booking.people.queries import patient_of, patients_of
from booking.people.service import (
    PatientKnown,
    TooManyPatients,
    add_patient,
    change_patient,
    demo_code,
    remove_old,
    remove_patient,
    request_code,
    sign_in,
)
from booking.vault import blind_index
from tests import factory
from tests.races.crowd import at_once

pytestmark = pytest.mark.usefixtures("within")

PHONE = "13800130501"
E164 = "+8613800130501"


def resident(serial=2, born="19580309"):
    body = f"990101{born}{serial:03d}"
    return body + mod_11_2.calc_check_digit(body)


def form(**changes):
    """The fields of the patient form, as a page gives them."""
    return {
        "name": "陈小静",
        "id_type": "resident",
        "id_number": resident(),
        "birth_date": None,
        "sex": "",
        "phone": "",
        "relation": "self",
        "guardian_name": "",
        "guardian_phone": "",
        "guardian_relation": "",
        "consent_id": True,
        "consent_health": True,
    } | changes


def plain(name="陈小静", **changes):
    """Somebody without a document."""
    return (
        form(name=name, id_type="none", id_number="", birth_date=date(1958, 3, 9), sex="f", consent_id=False)
        | changes
    )


def another(code):
    """A code that is certainly not this one."""
    return f"{(int(code) + 1) % 10**6:06d}"


def count(model, **only):
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model).filter_by(**only))


def everything():
    db.session.rollback()
    return {
        model.__tablename__: sorted(map(repr, db.session.execute(select(model.__table__))))
        for model in (Account, OneTimeCode, Patient, PatientLink, Consent, Message)
    }


def every_stored_value():
    """Every value of every column of every table as the database holds it: no type of ours opens it."""
    db.session.rollback()
    for table in Model.metadata.sorted_tables:
        for row in db.session.execute(text(f'SELECT * FROM "{table.name}"')).mappings():
            for column, value in row.items():
                yield f"{table.name}.{column}", str(value)


def raw(model, row_id):
    db.session.rollback()
    return (
        db.session.execute(text(f"SELECT * FROM {model.__tablename__} WHERE id = :id"), {"id": row_id})
        .mappings()
        .one()
    )


def signed_in(phone=PHONE):
    request_code(phone)
    return sign_in(phone, demo_code(phone))


# --- one-time codes --------------------------------------------------------------------------------------------------


def test_a_code_opens_the_account_of_its_phone_once():
    assert request_code(" 138 0013 0501 ") == E164
    code = demo_code(PHONE)
    account = sign_in(PHONE, f" {code[:3]} {code[3:]} ")
    assert (account.phone, account.phone_hash) == (E164, blind_index("phone", E164))
    assert account.signed_in_at == account.created_at
    with pytest.raises(BadInput) as refused:
        sign_in(PHONE, code)
    assert refused.value.facts["errors"] == {"code": "验证码已过期，请重新获取"}
    assert demo_code(PHONE) is None
    assert count(Account) == 1


def test_the_same_phone_is_the_same_account_however_it_is_typed(now):
    first = signed_in("１３８００１３０５０１")
    now.shift(seconds=61)
    second = signed_in("+86 13800130501")
    assert first.id == second.id and count(Account) == 1
    assert second.signed_in_at > first.signed_in_at


def test_full_width_digits_are_the_same_code():
    request_code(PHONE)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in demo_code(PHONE))
    assert sign_in(PHONE, wide).phone == E164


def test_wrong_tries_count_although_they_are_refused_and_the_fifth_ends_the_code():
    request_code(PHONE)
    code = demo_code(PHONE)
    said = []
    for _ in range(5):
        with pytest.raises(BadInput) as refused:
            sign_in(PHONE, another(code))
        said.append(refused.value.text)
    assert said == ["验证码不对，请再看一下短信"] * 4 + ["验证码输错太多次，请重新获取"]
    assert db.session.scalar(select(OneTimeCode.tries)) == 5
    with pytest.raises(BadInput) as refused:
        sign_in(PHONE, code)
    assert refused.value.text == "验证码已过期，请重新获取"
    assert count(Account) == 0


def test_the_right_code_on_the_fifth_try_still_works():
    request_code(PHONE)
    code = demo_code(PHONE)
    for wrong in (another(code), "", "12345", "abcdef"):
        with pytest.raises(BadInput):
            sign_in(PHONE, wrong)
    assert sign_in(PHONE, code).phone == E164


def test_tries_in_parallel_are_all_counted(app):
    request_code(PHONE)
    code = demo_code(PHONE)
    db.session.rollback()
    wrong = [f"{(int(code) + step) % 10**6:06d}" for step in range(1, 13)]
    done = at_once(app, [lambda one=one: sign_in(PHONE, one) for one in wrong])
    assert all(isinstance(one, BadInput) for one in done)
    assert db.session.scalar(select(OneTimeCode.tries)) == 5, "the sixth and later are not even compared"
    with pytest.raises(BadInput):
        sign_in(PHONE, code)


def test_one_code_used_twice_at_once_makes_one_account(app):
    request_code(PHONE)
    code = demo_code(PHONE)
    db.session.rollback()
    done = at_once(app, [lambda: sign_in(PHONE, code)] * 4)
    assert sum(isinstance(one, Account) for one in done) == 1
    assert sum(isinstance(one, BadInput) for one in done) == 3
    assert count(Account) == 1


@pytest.mark.parametrize(("seconds", "works"), [(299, True), (301, False)])
def test_a_code_lives_five_minutes(now, seconds, works):
    request_code(PHONE)
    code = demo_code(PHONE)
    now.shift(seconds=seconds)
    if works:
        assert sign_in(PHONE, code)
    else:
        assert demo_code(PHONE) is None
        with pytest.raises(BadInput, match="验证码已过期"):
            sign_in(PHONE, code)


def test_a_minute_passes_between_two_codes_and_the_sentence_says_how_much_is_left(now):
    request_code(PHONE)
    before = everything()
    now.shift(seconds=17)
    with pytest.raises(TooMany) as refused:
        request_code(PHONE)
    assert refused.value.facts["seconds"] in (42, 43)
    assert refused.value.text == f"发送太频繁，请 {refused.value.facts['seconds']} 秒后再试"
    assert everything() == before
    now.shift(seconds=refused.value.facts["seconds"])
    request_code(PHONE)
    request_code("13800130502")


def test_a_new_code_ends_the_one_before_it(now):
    request_code(PHONE)
    first = demo_code(PHONE)
    now.shift(seconds=61)
    request_code(PHONE)
    assert count(OneTimeCode) == 2 and count(OneTimeCode, ended_at=None) == 1
    if demo_code(PHONE) != first:
        with pytest.raises(BadInput):
            sign_in(PHONE, first)
    assert sign_in(PHONE, demo_code(PHONE))


def test_requests_at_once_leave_one_live_code_and_one_letter(app):
    done = at_once(app, [lambda: request_code(PHONE)] * 6)
    assert done.count(E164) == 1 and sum(isinstance(one, TooMany) for one in done) == 5
    assert count(OneTimeCode, ended_at=None) == 1 and count(Message) == 1


def test_a_code_for_one_purpose_opens_nothing_else():
    request_code(PHONE, purpose="change_phone")
    assert demo_code(PHONE) is None
    with pytest.raises(BadInput):
        sign_in(PHONE, demo_code(PHONE, "change_phone"))


def test_ten_codes_a_day_are_enough(now):
    for _ in range(10):
        request_code(PHONE)
        now.shift(seconds=61)
    with pytest.raises(TooMany, match="太多"):
        request_code(PHONE)
    now.shift(days=1)
    assert request_code(PHONE)


@pytest.mark.parametrize("phone", ["", "1380013000", "13800130001' OR 1=1", "١٢٣", "1" * 5000, "12800130001"])
def test_what_is_no_phone_gets_no_code(phone):
    before = everything()
    for attempt in (lambda: request_code(phone), lambda: sign_in(phone, "123456")):
        with pytest.raises(BadInput) as refused:
            attempt()
        assert set(refused.value.facts["errors"]) == {"phone"}
    assert demo_code(phone) is None
    assert everything() == before


def test_the_letter_says_which_code_and_not_what_it_is():
    request_code(PHONE)
    letter = db.session.scalars(select(Message)).one()
    code = db.session.scalars(select(OneTimeCode)).one()
    assert (letter.hospital_id, letter.kind, letter.channel, letter.recipient) == (
        PLATFORM,
        "code",
        "sms",
        "code",
    )
    assert (letter.code_id, letter.facts, letter.subject, letter.body) == (code.id, {}, None, None)
    assert letter.expires_at == code.expires_at == code.created_at + timedelta(minutes=5)


def test_the_code_stands_nowhere_in_the_database(now):
    """A six-digit number may turn up in an id by chance: three codes in a row would not."""
    found = 0
    for number in range(3):
        phone = f"1380013051{number}"
        request_code(phone)
        code = demo_code(phone)
        found += any(
            code in value
            for where, value in every_stored_value()
            if not where.endswith((".id", "salt", "_hash"))
        )
        with pytest.raises(BadInput):
            sign_in(phone, another(code))
        sign_in(phone, code)
        found += any(value == code for _, value in every_stored_value())
    assert found <= 1, "the code, or something that looks like it, is stored"


def test_old_codes_are_removed_and_young_ones_kept(now):
    request_code(PHONE)
    assert remove_old() == 0
    now.shift(days=1, hours=23)
    request_code("13800130503")
    assert remove_old() == 0
    now.shift(hours=2)
    assert remove_old() == 1
    assert count(OneTimeCode) == 1


# --- patients --------------------------------------------------------------------------------------------------------


def test_a_patient_is_added_with_what_the_id_number_says():
    who = factory.account()
    patient = add_patient(who.id, **form(name=" 陈小静 ", phone="138 0013 0999", relation="parent"))
    assert (patient.name, patient.birth_date, patient.sex) == ("陈小静", "1958-03-09", "f")
    assert (patient.phone, patient.verified_at) == ("+8613800130999", None)
    view = patients_of(who.id)[0]
    assert (view.masked_name, view.relation_name, view.id_tail) == ("陈*静", "父母", resident()[-4:])
    assert view.is_last and view.phone_masked == "138****0999" and not view.verified
    assert count(PatientLink, account_id=who.id, patient_id=patient.id, seat=1) == 1


def test_consents_are_recorded_each_for_itself():
    who = factory.account()
    with_id = add_patient(who.id, **form())
    without = add_patient(who.id, **plain("陈小明", relation="spouse"))
    child = add_patient(who.id, **child_form())
    db.session.rollback()
    given = {
        patient.id: sorted(db.session.scalars(select(Consent.kind).where(Consent.patient_id == patient.id)))
        for patient in (with_id, without, child)
    }
    assert list(given.values()) == [
        ["health_data", "id_number"],
        ["health_data"],
        ["guardian", "health_data"],
    ]
    for row in db.session.scalars(select(Consent)):
        assert (row.account_id, row.withdrawn_at) == (who.id, None)
        assert row.wording and row.given_at


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"consent_id": False}, {"consent_id": "请勾选同意，否则不能保存证件号码"}),
        ({"consent_health": False}, {"consent_health": "请勾选同意，否则不能为这位就诊人预约"}),
        ({"name": ""}, {"name": "请填写姓名，与证件一致"}),
        ({"name": "<script>"}, {"name": "姓名里有不能识别的符号，请检查"}),
        ({"id_number": ""}, {"id_number": "请填写证件号码"}),
        ({"id_number": resident()[:17]}, {"id_number": "身份证应为 18 位，现在是 17 位"}),
        ({"id_number": resident(born="20991231")}, {"id_number": "出生日期不能晚于今天"}),
        (
            {"id_type": "licence"},
            {"id_type": "请选择证件类型", "birth_date": "请填写出生日期", "sex": "请选择性别"},
        ),
        ({"relation": "friend"}, {"relation": "请选择与你的关系"}),
        ({"phone": "1380013"}, {"phone": "手机号应为 11 位数字，现在是 7 位"}),
        (plain(birth_date=None), {"birth_date": "请填写出生日期"}),
        (plain(birth_date=date(2090, 1, 1)), {"birth_date": "出生日期不能晚于今天"}),
        (plain(sex="x"), {"sex": "请选择性别"}),
    ],
)
def test_a_patient_form_says_what_is_wrong_and_keeps_nothing(given, errors):
    who = factory.account()
    before = everything()
    with pytest.raises(BadInput) as refused:
        add_patient(who.id, **form(**given))
    assert refused.value.facts["errors"] == errors
    assert everything() == before


def child_form(**changes):
    return plain(
        "陈小果",
        relation="child",
        birth_date=factory.now().date() - timedelta(days=8 * 365),
        guardian_name="陈小静",
        guardian_phone="13800130501",
        guardian_relation="parent",
        consent_guardian=True,
        **changes,
    )


def test_a_child_is_not_stored_without_the_guardians_own_consent():
    who = factory.account()
    with pytest.raises(BadInput) as refused:
        add_patient(who.id, **child_form() | {"consent_guardian": False})
    assert refused.value.facts["errors"] == {"consent_guardian": "未满 14 岁需监护人同意，请勾选"}
    assert count(Patient) == 0


def test_somebody_under_fourteen_has_a_guardian(now):
    who = factory.account()
    child = add_patient(who.id, **child_form())
    assert (child.guardian_name, child.guardian_phone, child.guardian_relation) == ("陈小静", E164, "parent")
    wanting = {"guardian_name": "", "guardian_phone": "", "guardian_relation": ""}
    with pytest.raises(BadInput) as refused:
        add_patient(who.id, **child_form() | wanting)
    assert refused.value.facts["errors"] == {
        "guardian_name": "未满 14 岁需填写监护人姓名和手机号",
        "guardian_relation": "请选择监护人与就诊人的关系",
    }
    with pytest.raises(BadInput) as refused:
        add_patient(who.id, **child_form() | {"guardian_phone": "1380013"})
    assert refused.value.facts["errors"] == {"guardian_phone": "手机号应为 11 位数字，现在是 7 位"}


def test_fourteen_is_counted_to_the_day():
    today = factory.now().astimezone().date()
    who = factory.account()
    try:
        birthday = today.replace(year=today.year - 14)
    except ValueError:
        birthday = today.replace(year=today.year - 14, day=28)
    with pytest.raises(BadInput):
        add_patient(who.id, **plain("陈十三", birth_date=birthday + timedelta(days=2)))
    older = add_patient(
        who.id, **plain("陈十四", birth_date=birthday - timedelta(days=1), guardian_name="不需要")
    )
    assert older.guardian_name is None
    assert count(Consent, kind="guardian") == 0


def test_five_patients_at_most():
    who = factory.account()
    for number in range(5):
        add_patient(who.id, **form(name=f"陈小{'甲乙丙丁戊'[number]}", id_number=resident(number)))
    before = everything()
    with pytest.raises(TooManyPatients) as refused:
        add_patient(who.id, **form(name="陈小己", id_number=resident(9)))
    assert refused.value.text == "一个账号最多添加 5 位就诊人，请先移除不再需要的。"
    assert everything() == before
    remove_patient(who.id, patients_of(who.id)[2].id)
    add_patient(who.id, **form(name="陈小己", id_number=resident(9)))
    assert sorted(db.session.scalars(select(PatientLink.seat).where(PatientLink.seat.is_not(None)))) == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_five_at_most_also_when_ten_are_added_at_once(app):
    who = factory.account()
    calls = [
        lambda n=n: add_patient(
            who.id, **form(name=f"陈小{'甲乙丙丁戊己庚辛壬癸'[n]}", id_number=resident(n))
        )
        for n in range(10)
    ]
    done = at_once(app, calls)
    assert sum(isinstance(one, Patient) for one in done) == 5
    assert sum(isinstance(one, TooManyPatients) for one in done) == 5
    assert count(Patient) == 5, "nobody is left without a link"


def test_the_same_person_twice_on_one_account_is_refused_also_at_once(app):
    who = factory.account()
    done = at_once(app, [lambda: add_patient(who.id, **form())] * 4)
    assert sum(isinstance(one, Patient) for one in done) == 1
    assert sum(isinstance(one, PatientKnown) for one in done) == 3
    assert count(Patient) == 1
    other = add_patient(who.id, **plain("陈小明"))
    with pytest.raises(PatientKnown):
        change_patient(who.id, other.id, **form(name="陈小明"))


def test_an_unverified_number_blocks_nobody_and_a_verified_one_is_one_patient():
    daughter, son = factory.account(), factory.account()
    first = add_patient(daughter.id, **form(relation="parent")).id
    second = add_patient(son.id, **form(relation="parent")).id
    assert first != second
    assert raw(Patient, first)["id_hash"] == raw(Patient, second)["id_hash"]
    verify(first)
    with pytest.raises(IntegrityError, match=r"uq_one_patient_per_verified_id|id_hash"):
        verify(second)


def verify(patient_id):
    with transaction() as session:
        session.execute(update(Patient).where(Patient.id == patient_id).values(verified_at=factory.now()))


def test_a_verified_number_is_not_changed_on_a_page():
    who = factory.account()
    patient = add_patient(who.id, **form())
    verify(patient.id)
    before = everything()
    with pytest.raises(BadInput) as refused:
        change_patient(who.id, patient.id, **form(id_number=resident(5)))
    assert refused.value.facts["errors"] == {"id_number": "这位就诊人的证件已经核验，更改请到医院窗口办理"}
    assert everything() == before
    assert change_patient(who.id, patient.id, **form(relation="spouse")).verified_at is not None


def test_changing_a_patient_keeps_id_and_seat_and_records_what_is_newly_consented():
    who = factory.account()
    patient = add_patient(who.id, **plain())
    changed = change_patient(
        who.id, patient.id, **form(name="陈静文", relation="spouse", phone="13800130998")
    )
    assert changed.id == patient.id
    view = patient_of(who.id, patient.id)
    assert (view.name, view.relation, view.id_type, view.phone) == (
        "陈静文",
        "spouse",
        "resident",
        "+8613800130998",
    )
    assert sorted(db.session.scalars(select(Consent.kind))) == ["health_data", "id_number"]
    before = count(Consent)
    change_patient(who.id, patient.id, **form(name="陈静文"))
    assert count(Consent) == before, "a repeat records nothing twice"


def test_consent_to_a_number_ends_with_the_number():
    who = factory.account()
    patient = add_patient(who.id, **form())
    change_patient(who.id, patient.id, **plain())
    row = raw(Patient, patient.id)
    assert (row["id_number"], row["id_hash"]) == (None, None)
    ended = db.session.scalars(select(Consent.kind).where(Consent.withdrawn_at.is_not(None))).all()
    assert ended == ["id_number"]


def test_somebody_elses_patient_does_not_exist():
    mine, theirs = factory.account(), factory.account()
    patient = add_patient(theirs.id, **form())
    before = everything()
    for attempt in (
        lambda: change_patient(mine.id, patient.id, **form(name="陈偷看")),
        lambda: remove_patient(mine.id, patient.id),
        lambda: change_patient(theirs.id, patient.id + 999, **form()),
        lambda: remove_patient(theirs.id, patient.id + 999),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert patient_of(mine.id, patient.id) is None
    assert everything() == before


def test_removing_withdraws_consents_and_a_repeat_is_not_found():
    who = factory.account()
    patient = add_patient(who.id, **form())
    remove_patient(who.id, patient.id)
    assert patients_of(who.id) == []
    assert count(Patient) == 1, "booked visits point at the row"
    assert all(row.withdrawn_at for row in db.session.scalars(select(Consent)))
    assert raw(Account, who.id)["last_patient_id"] is None
    before = everything()
    with pytest.raises(NotFound):
        remove_patient(who.id, patient.id)
    with pytest.raises(NotFound):
        change_patient(who.id, patient.id, **form())
    assert everything() == before


def test_a_removed_patient_can_be_added_again_and_is_the_same_patient():
    who = factory.account()
    patient = add_patient(who.id, **form())
    remove_patient(who.id, patient.id)
    again = add_patient(who.id, **form(name="陈小静", relation="parent", phone="13800130997"))
    assert again.id == patient.id, "limits and overlaps must still see the visits of before"
    assert [(view.relation, view.phone, view.is_last) for view in patients_of(who.id)] == [
        ("parent", "+8613800130997", True)
    ]
    assert count(Consent, withdrawn_at=None) == 2 and count(Consent) == 4
    assert count(PatientLink) == 1
    other = factory.account()
    assert add_patient(other.id, **form()).id != patient.id, "another account's patients stay its own"


def test_a_removed_patient_without_a_document_comes_back_as_somebody_new():
    who = factory.account()
    patient = add_patient(who.id, **plain())
    remove_patient(who.id, patient.id)
    assert add_patient(who.id, **plain()).id != patient.id


def test_the_last_used_patient_is_first():
    who = factory.account()
    first = add_patient(who.id, **plain("陈小一"))
    add_patient(who.id, **plain("陈小二"))
    with transaction() as session:
        session.execute(update(Account).values(last_patient_id=first.id))
    assert [view.name for view in patients_of(who.id)] == ["陈小一", "陈小二"]
    assert [view.is_last for view in patients_of(who.id)] == [True, False]


# --- what lies on the disk -------------------------------------------------------------------------------------------

PERSONAL = {
    Account: ("phone", "email"),
    OneTimeCode: ("phone",),
    Patient: ("name", "id_number", "birth_date", "phone", "guardian_name", "guardian_phone"),
}


def test_personal_fields_are_ciphertext_that_names_algorithm_and_key():
    account = signed_in()
    set_email(account.id, "chen@example.org")
    add_patient(account.id, **form(phone="13800130996"))
    add_patient(account.id, **child_form())
    for model, columns in PERSONAL.items():
        db.session.rollback()
        names = ", ".join(columns)
        for row in db.session.execute(text(f"SELECT {names} FROM {model.__tablename__}")):
            for column, value in zip(columns, row, strict=True):
                assert value is None or value.startswith("aesgcm.t1."), f"{model.__tablename__}.{column}"
    secrets = ("13800130", "chen@example", "陈小", resident(), resident()[6:14], "1958-03-09", "1958")
    for where, value in every_stored_value():
        assert not any(secret in value for secret in secrets), f"{where} holds {value!r}"


def test_every_column_that_names_a_person_is_sealed():
    """A new column called phone, email, name of a person or birth date must be sealed too."""
    for model in (Account, OneTimeCode, Patient):
        for column in model.__table__.columns:
            if column.name in ("name", "phone", "email", "birth_date", "id_number") or column.name.startswith(
                "guardian_"
            ):
                sealed = type(column.type).__name__ == "Sealed"
                assert sealed or column.name == "guardian_relation", f"{model.__tablename__}.{column.name}"


def test_two_with_the_same_name_do_not_look_the_same():
    who = factory.account()
    one, two = add_patient(who.id, **plain()), add_patient(who.id, **plain())
    assert raw(Patient, one.id)["name"] != raw(Patient, two.id)["name"]


# --- settings --------------------------------------------------------------------------------------------------------


def test_an_address_is_set_and_cleared():
    who = factory.account()
    assert set_email(who.id, " chen.jing+a@mail.example.org ")
    assert db.session.get(Account, who.id, populate_existing=True).email == "chen.jing+a@mail.example.org"
    assert not set_email(who.id, "")
    assert db.session.get(Account, who.id, populate_existing=True).email is None


@pytest.mark.parametrize(
    "email",
    [
        "chen",
        "chen@",
        "@example.org",
        "chen@example",
        "a b@example.org",
        "a@example.org\nBcc: b@example.org",
        "a@b.org,c@d.org",
        "<a@b.org>",
        "a\x00@b.org",
        "a" * 65 + "@b.org",
    ],
)
def test_what_is_no_address_is_refused(email):
    who = factory.account()
    with pytest.raises(BadInput) as refused:
        set_email(who.id, email)
    assert refused.value.facts["errors"] == {"email": "邮箱格式不对，例如 name@example.com"}
    assert raw(Account, who.id)["email"] is None


def test_no_refusal_repeats_personal_data():
    who = factory.account()
    try:
        add_patient(who.id, **form(id_number=resident()[:17] + "Q", phone="13800130x"))
    except Refusal as refusal:
        said = json.dumps(refusal.facts, ensure_ascii=False) + refusal.text
        assert resident()[:17] not in said and "13800130" not in said
