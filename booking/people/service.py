"""Verbs on accounts and patients: ask for a code, sign in, add, change and remove a patient."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.clock import db_now, local
from booking.db import broken_constraint, db, retried, transaction
from booking.errors import BadInput, NotFound, Refusal
from booking.people.codes import issue, live_code, redeem
from booking.people.models import PATIENTS_PER_ACCOUNT, Account, Consent, OneTimeCode, Patient, PatientLink
from booking.people.rules import (
    GUARDIAN_RELATIONS,
    GUARDIAN_UNDER,
    ID_TYPES,
    RELATIONS,
    PatientFacts,
    age,
    check_id,
    check_name,
    id_birth_date,
    id_sex,
    read_phone,
)
from booking.vault import blind_index, short_code

CODE_REGIONS = ("+86", "+852", "+853", "+886")
"""Where codes are sent: numbers elsewhere are what SMS fraud uses; their owners book by phone."""
WORDING = "2026-11"
HOME_ZONE = "Asia/Shanghai"


class TooManyPatients(Refusal):
    message = f"一个账号最多添加 {PATIENTS_PER_ACCOUNT} 位就诊人，请先移除不再需要的。"


class PatientKnown(Refusal):
    message = "这位就诊人已经在你的名单里了。"


@retried
def request_code(phone: str, purpose: str = "sign_in") -> str:
    """Make a one-time code for a phone and put its letter; return the phone as E.164.

    Only a salt is stored, the digits are derived when the letter is rendered. A new request ends the code before it:
    one live code per phone and purpose. Raises BadInput(errors), TooMany(seconds) within 60 s or after 10 a day.
    """
    number, wrong = read_phone(phone)
    if number is None:
        raise BadInput(wrong, errors={"phone": wrong})
    if not number.startswith(CODE_REGIONS):
        wrong = "验证码只能发到中国内地和港澳台的手机号"
        raise BadInput(wrong, errors={"phone": wrong})
    with transaction() as session:
        issue(
            session,
            number,
            blind_index("phone", number),
            purpose=purpose,
            channel="sms",
            too_many="这个手机号今天收取的验证码太多了，请明天再试，或拨打客服电话。",
            now=db_now(session),
        )
    return number


def demo_code(phone: str, purpose: str = "sign_in") -> str | None:
    """Return the live code of a phone; only the demo's page may show it."""
    row = _live_code(phone, purpose)
    return short_code(row.salt) if row else None


def code_waits(phone: str, purpose: str = "sign_in") -> bool:
    """Whether a code that was sent to this phone still works."""
    return _live_code(phone, purpose) is not None


def _live_code(phone: str, purpose: str) -> OneTimeCode | None:
    number, _ = read_phone(phone)
    if number is None:
        return None
    return live_code(blind_index("phone", number), purpose)


@retried
def sign_in(phone: str, code: str, purpose: str = "sign_in") -> Account:
    """Check a one-time code and return the account of that phone, made on first use.

    Raises BadInput(errors) with the sentence: wrong (each try counts, five at most) or expired. A code works once.
    """
    number, wrong = read_phone(phone)
    if number is None:
        raise BadInput(wrong, errors={"phone": wrong})
    found = blind_index("phone", number)
    with transaction() as session:
        now = db_now(session)
        look_at = "验证码不对，请再看一下短信"
        problem = redeem(session, found, code, purpose=purpose, look_at=look_at, now=now)
        if not problem:
            account = _account(session, number, found, now)
    if problem:
        raise BadInput(problem, errors={"code": problem})
    return account


def _account(session: Session, number: str, found: str, now: datetime) -> Account:
    account = session.scalars(select(Account).where(Account.phone_hash == found)).first()
    if account is None:
        account = Account(phone=number, phone_hash=found, created_at=now)
        session.add(account)
    account.signed_in_at = now
    session.flush()
    return account


@retried
def end_sign_ins(account_id: int) -> None:
    """Sign an account out everywhere: every cookie given so far, also a copied one, stops counting."""
    with transaction() as session:
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(session_version=Account.session_version + 1)
        )


def account_for(session: Session, phone: str, now: datetime) -> Account:
    """Return (or make) the account of an E.164 phone in the caller's transaction; for loaders, not for pages."""
    return _account(session, phone, blind_index("phone", phone), now)


def check_patient(
    *,
    name: str,
    id_type: str,
    id_number: str,
    birth_date: date | None,
    sex: str,
    phone: str,
    relation: str,
    guardian_name: str,
    guardian_phone: str,
    guardian_relation: str,
    today: date,
) -> PatientFacts:
    """Return the checked facts; raises BadInput whose `errors` hold one sentence per field.

    With a resident number the birth date and sex are taken from it.
    """
    errors: dict[str, str] = {}

    def note(field: str, wrong: str) -> None:
        if wrong:
            errors.setdefault(field, wrong)

    note("name", check_name(name))
    if id_type not in ID_TYPES:
        note("id_type", "请选择证件类型")
    number, wrong = check_id(id_type, id_number)
    note("id_number", wrong)
    if number and id_type == "resident":
        birth_date, sex = id_birth_date(number), id_sex(number)
    if birth_date is None:
        if id_type != "resident":
            note("birth_date", "请填写出生日期")
    elif birth_date > today:
        note("birth_date" if id_type != "resident" else "id_number", "出生日期不能晚于今天")
    if sex not in ("f", "m") and id_type != "resident":
        note("sex", "请选择性别")
    if relation not in RELATIONS:
        note("relation", "请选择与你的关系")
    own_phone: str | None = None
    if phone.strip():
        own_phone, wrong = read_phone(phone)
        note("phone", wrong)
    is_child = birth_date is not None and birth_date <= today and age(birth_date, today) < GUARDIAN_UNDER
    keeper_phone: str | None = None
    if is_child:
        if check_name(guardian_name) or not guardian_phone.strip():
            note("guardian_name", f"未满 {GUARDIAN_UNDER} 岁需填写监护人姓名和手机号")
        keeper_phone, wrong = read_phone(guardian_phone)
        note("guardian_phone", wrong if guardian_phone.strip() else "")
        if guardian_relation not in GUARDIAN_RELATIONS:
            note("guardian_relation", "请选择监护人与就诊人的关系")
    if errors or birth_date is None:
        raise BadInput("有几处需要修改。", errors=errors)
    return PatientFacts(
        name.strip(),
        id_type,
        number,
        birth_date,
        sex,
        own_phone,
        relation,
        guardian_name.strip() if is_child else None,
        keeper_phone if is_child else None,
        guardian_relation if is_child else None,
    )


def _with_consents(
    given: dict[str, Any], consent_id: bool, consent_health: bool, consent_guardian: bool
) -> tuple[PatientFacts, list[str]]:
    """Return the checked facts and the kinds of consent given; every wrong field and missing consent in one refusal."""
    missing = {}
    if given["id_type"] != "none" and not consent_id:
        missing["consent_id"] = "请勾选同意，否则不能保存证件号码"
    if not consent_health:
        missing["consent_health"] = "请勾选同意，否则不能为这位就诊人预约"
    try:
        facts = check_patient(**given, today=today_at_home())
    except BadInput as refused:
        refused.facts["errors"] |= missing
        raise
    if facts.guardian_name and not consent_guardian:
        missing["consent_guardian"] = f"未满 {GUARDIAN_UNDER} 岁需监护人同意，请勾选"
    if missing:
        raise BadInput("有几处需要修改。", errors=missing)
    id_kind = ["id_number"] if facts.id_number else []
    guardian_kind = ["guardian"] if facts.guardian_name else []
    return facts, [*id_kind, "health_data", *guardian_kind]


def _columns(facts: PatientFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "id_type": facts.id_type,
        "id_number": facts.id_number,
        "id_hash": blind_index(f"id:{facts.id_type}", facts.id_number) if facts.id_number else None,
        "birth_date": facts.birth_date.isoformat(),
        "sex": facts.sex,
        "phone": facts.phone,
        "phone_hash": blind_index("phone", facts.phone) if facts.phone else None,
        "guardian_name": facts.guardian_name,
        "guardian_phone": facts.guardian_phone,
        "guardian_relation": facts.guardian_relation,
    }


def today_at_home() -> date:
    """Return today's date in the platform's zone; the birth-date rules use it."""
    return local(db_now(db.session()), HOME_ZONE).date()


@retried
def add_patient(
    account_id: int, *, consent_id: bool, consent_health: bool, consent_guardian: bool = False, **given: Any
) -> Patient:
    """Add a patient to an account, with the consents as given; `given` are the fields of `check_patient`.

    Somebody this account removed before is the same patient again, known by the ID number. Raises BadInput(errors),
    TooManyPatients, and PatientKnown when this account already has that ID number.
    """
    facts, kinds = _with_consents(given, consent_id, consent_health, consent_guardian)
    columns = _columns(facts)
    try:
        with transaction() as session:
            now = db_now(session)
            session.get(Account, account_id, with_for_update=True)
            known = _link_by_id_number(session, account_id, columns["id_hash"])
            if known is not None and known.ended_at is None:
                raise PatientKnown(patient_id=known.patient_id, errors={"id_number": PatientKnown.message})
            taken = set(session.scalars(select(PatientLink.seat).where(PatientLink.account_id == account_id)))
            seat = next((one for one in range(1, PATIENTS_PER_ACCOUNT + 1) if one not in taken), None)
            if seat is None:
                raise TooManyPatients()
            if known is not None:
                # the same patient again, so that limits and overlaps still see the visits kept
                patient = session.get_one(Patient, known.patient_id, with_for_update=True)
                for name, value in columns.items():
                    setattr(patient, name, value)
                known.seat, known.ended_at, known.relation = seat, None, facts.relation
            else:
                patient = Patient(created_at=now, **columns)
                session.add(patient)
                session.flush()
                session.add(
                    PatientLink(
                        account_id=account_id,
                        patient_id=patient.id,
                        seat=seat,
                        relation=facts.relation,
                        created_at=now,
                    )
                )
            _record_consents(session, account_id, patient.id, kinds, now)
            session.execute(
                update(Account).where(Account.id == account_id).values(last_patient_id=patient.id)
            )
            session.flush()
    except IntegrityError as problem:
        if broken_constraint(problem) == "uq_one_patient_per_seat":
            raise TooManyPatients() from problem
        raise
    return patient


def _link_by_id_number(session: Session, account_id: int, id_hash: str | None) -> PatientLink | None:
    """Return this account's link, a living one before an ended one, to the patient with that ID number."""
    if id_hash is None:
        return None
    return session.scalars(
        select(PatientLink)
        .join(Patient, Patient.id == PatientLink.patient_id)
        .where(PatientLink.account_id == account_id, Patient.id_hash == id_hash)
        .order_by(PatientLink.ended_at.is_not(None), PatientLink.patient_id.desc())
        .limit(1)
    ).first()


def _record_consents(
    session: Session, account_id: int, patient_id: int, kinds: list[str], now: datetime
) -> None:
    rows = [
        {
            "account_id": account_id,
            "patient_id": patient_id,
            "kind": kind,
            "wording": WORDING,
            "given_at": now,
        }
        for kind in kinds
    ]
    session.execute(insert(Consent), rows)


def _link(session: Session, account_id: int, patient_id: int) -> PatientLink:
    link = session.get(PatientLink, (account_id, patient_id))
    if link is None or link.ended_at is not None:
        raise NotFound("没有找到这位就诊人。")
    return link


@retried
def change_patient(
    account_id: int,
    patient_id: int,
    *,
    consent_id: bool,
    consent_health: bool,
    consent_guardian: bool = False,
    **given: Any,
) -> Patient:
    """Change a patient this account books for. A verified ID number cannot be changed here.

    Consents to what is no longer kept are withdrawn. Raises NotFound for somebody else's patient, BadInput(errors), and
    PatientKnown when another patient of this account has that ID number.
    """
    facts, kinds = _with_consents(given, consent_id, consent_health, consent_guardian)
    columns = _columns(facts)
    with transaction() as session:
        now = db_now(session)
        link = _link(session, account_id, patient_id)
        patient = session.get_one(Patient, patient_id, with_for_update=True)
        if patient.verified_at and patient.id_hash != columns["id_hash"]:
            wrong = "这位就诊人的证件已经核验，更改请到医院窗口办理"
            raise BadInput(wrong, errors={"id_number": wrong})
        known = _link_by_id_number(session, account_id, columns["id_hash"])
        if known is not None and known.patient_id != patient_id and known.ended_at is None:
            raise PatientKnown(patient_id=known.patient_id, errors={"id_number": PatientKnown.message})
        for name, value in columns.items():
            setattr(patient, name, value)
        link.relation = facts.relation
        session.execute(
            update(Consent)
            .where(
                Consent.account_id == account_id,
                Consent.patient_id == patient_id,
                Consent.withdrawn_at.is_(None),
                Consent.kind.not_in(kinds),
            )
            .values(withdrawn_at=now)
        )
        have = select(Consent.kind).where(
            Consent.account_id == account_id, Consent.patient_id == patient_id, Consent.withdrawn_at.is_(None)
        )
        missing = [kind for kind in kinds if kind not in set(session.scalars(have))]
        if missing:
            _record_consents(session, account_id, patient_id, missing, now)
        session.flush()
    return patient


@retried
def remove_patient(account_id: int, patient_id: int) -> None:
    """End the link between an account and a patient and withdraw its consents; booked visits stay. A repeat is NotFound."""
    with transaction() as session:
        now = db_now(session)
        link = _link(session, account_id, patient_id)
        link.ended_at, link.seat = now, None
        session.execute(
            update(Consent)
            .where(
                Consent.account_id == account_id,
                Consent.patient_id == patient_id,
                Consent.withdrawn_at.is_(None),
            )
            .values(withdrawn_at=now)
        )
        session.execute(
            update(Account)
            .where(Account.id == account_id, Account.last_patient_id == patient_id)
            .values(last_patient_id=None)
        )
        session.flush()


@retried
def remove_old() -> int:
    """Delete one-time codes older than two days (retention); return how many."""
    with transaction() as session:
        now = db_now(session)
        old = OneTimeCode.created_at < now - timedelta(days=2)
        count = session.scalar(select(func.count()).select_from(OneTimeCode).where(old)) or 0
        session.execute(delete(OneTimeCode).where(old))
    return count
