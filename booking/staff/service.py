"""Verbs on staff sign-ins: add a person, sign in with growing delays, end sign-ins."""

from __future__ import annotations

import math
import re
import uuid
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from booking.clock import db_now
from booking.db import broken_constraint, db, end_read, retried, transaction
from booking.directory.models import Doctor, Hospital
from booking.errors import BadInput, TooMany
from booking.staff.models import StaffMember
from booking.staff.rules import ROLES, Actor

FREE_TRIES = 3
LONGEST_DELAY = timedelta(minutes=15)
_hasher = PasswordHasher()
_USERNAME = re.compile(r"[a-z0-9._-]{2,40}")
_nobody = _hasher.hash("nobody has this password")
WRONG = "账号或密码不对，请重新输入。"


def delay_after(failures: int) -> timedelta:
    """How long a sign-in stays closed after that many wrong passwords in a row: none for three, then 10 s doubling to 15 min."""
    if failures < FREE_TRIES:
        return timedelta()
    return min(timedelta(seconds=10 * 2 ** min(failures - FREE_TRIES, 12)), LONGEST_DELAY)


@retried
def add_staff(
    hospital_id: int, username: str, name: str, role: str, password: str, doctor_id: uuid.UUID | None = None
) -> StaffMember:
    """Add a person who may sign in for one hospital. Raises BadInput(errors); an existing username is refused."""
    errors = {}
    if not _USERNAME.fullmatch(username):
        errors["username"] = "账号只能用小写字母、数字、点、横线，2–40 位"
    if role not in ROLES:
        errors["role"] = "角色应为 " + "、".join(ROLES)
    if (role == "doctor") != (doctor_id is not None):
        errors["doctor"] = "医生角色要对应一位医生，其他角色不用"
    if len(password) < 10:
        errors["password"] = "密码至少 10 位"
    if not name.strip():
        errors["name"] = "请填写姓名"
    elif len(name.strip()) > 60:
        errors["name"] = "姓名最多 60 个字"
    if doctor_id is not None and db.session.get(Doctor, (hospital_id, doctor_id)) is None:
        errors["doctor"] = "本医院没有这位医生"
    if errors:
        raise BadInput("；".join(errors.values()), errors=errors)
    hashed = _hasher.hash(_secret(password))
    try:
        with transaction() as session:
            member = StaffMember(
                hospital_id=hospital_id,
                username=username,
                name=name.strip(),
                role=role,
                doctor_id=doctor_id,
                password_hash=hashed,
                created_at=db_now(session),
            )
            session.add(member)
            session.flush()
    except IntegrityError as problem:
        if broken_constraint(problem) == "uq_staff_member_hospital_id_username":
            wrong = "这个账号已经有人用了"
            raise BadInput(wrong, errors={"username": wrong}) from problem
        raise
    return member


def sign_in_staff(login: str, password: str) -> StaffMember:
    """Return the staff member of `username@hospital-slug` when the password is right.

    Raises BadInput with one sentence for every mismatch, TooMany(seconds) while the sign-in is closed: after three wrong
    passwords in a row it stays closed for 10 s, doubling up to 15 minutes. The slow comparison runs outside of any
    transaction; what it found is recorded in one that looks again whether the sign-in was closed meanwhile.
    """
    username, _, slug = login.strip().lower().partition("@")
    known = db.session.execute(
        select(StaffMember.hospital_id, StaffMember.id, StaffMember.password_hash)
        .join(Hospital, Hospital.id == StaffMember.hospital_id)
        .where(Hospital.slug == slug[:64], StaffMember.username == username[:40])
    ).first()
    end_read()
    right = _matches(known.password_hash if known else _nobody, password)
    if known is None:
        raise BadInput(WRONG, errors={"password": WRONG})
    fresh = (
        _hasher.hash(_secret(password)) if right and _hasher.check_needs_rehash(known.password_hash) else None
    )
    return _record_sign_in(known.hospital_id, known.id, known.password_hash, right, fresh)


@retried
def _record_sign_in(
    hospital_id: int, staff_id: uuid.UUID, compared: str, right: bool, fresh: str | None
) -> StaffMember:
    with transaction() as session:
        member = session.get_one(StaffMember, (hospital_id, staff_id), with_for_update=True)
        now = db_now(session)
        if member.locked_until and member.locked_until > now:
            seconds = math.ceil((member.locked_until - now).total_seconds())
            raise TooMany("连续输错太多次，请 %(seconds)s 秒后再试。", seconds=seconds)
        welcome = right and member.active and member.password_hash == compared
        if welcome:
            member.failures, member.locked_until, member.signed_in_at = 0, None, now
            member.password_hash = fresh or member.password_hash
        elif not right:
            member.failures += 1
            delay = delay_after(member.failures)
            member.locked_until = now + delay if delay else None
        session.flush()
    if not welcome:
        raise BadInput(WRONG, errors={"password": WRONG})
    return member


def _secret(password: str) -> bytes:
    """Return what is hashed: one form for setting and for checking, and no megabyte of it."""
    return password.encode("utf-8", "replace")[:1024]


def _matches(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, _secret(password))
    except (VerificationError, InvalidHashError):
        return False


def actor_for(hospital_id: int, staff_id: uuid.UUID, session_version: int) -> Actor | None:
    """Return who a signed-in browser acts as, read now: a person switched off or signed out everywhere acts as nobody."""
    member = db.session.get(StaffMember, (hospital_id, staff_id))
    if member is None or not member.active or member.session_version != session_version:
        return None
    doctor = member.doctor_id.hex if member.doctor_id else None
    return Actor(member.role, member.id.hex, member.name, hospital_id=hospital_id, doctor_id=doctor)
