"""Verbs of the directory: add and change hospitals, campuses, departments, doctors and where they see patients."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import time
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking import clock
from booking.db import broken_constraint, db, transaction
from booking.directory import entries
from booking.directory.models import Campus, ClinicKind, Department, Doctor, Hospital, Practice, Specialty
from booking.errors import BadInput, NotFound

Row = TypeVar("Row", Campus, Department, Doctor, Practice)


PREPARATION_MOST = 80
_DOUBLES = {
    "uq_hospital_slug": ("slug", "这个网址短名已经有医院在用，请换一个。"),
    "uq_campus_hospital_id_slug": ("slug", "这个网址短名已经有院区在用，请换一个。"),
    "uq_department_hospital_id_name": ("name", "本院已经有同名的科室。"),
    "uq_doctor_slug": ("slug", "这个网址短名已经有医生在用，请换一个。"),
    "uq_specialty_slug": ("slug", "这个网址短名已经有科目在用，请换一个。"),
    "uq_specialty_name": ("name", "已经有同名的科目。"),
}


@contextmanager
def _writing() -> Iterator[Session]:
    """A transaction whose refusals by a constraint become BadInput."""
    try:
        with transaction() as session:
            yield session
            session.flush()
    except IntegrityError as problem:
        rule = broken_constraint(problem)
        if rule in _DOUBLES:
            field, sentence = _DOUBLES[rule]
            raise BadInput(sentence, field=field) from problem
        if rule.startswith("fk_") or "FOREIGN KEY" in rule:
            raise BadInput("有的选项不属于本医院，请重新选择。") from problem
        raise


def add_hospital(
    *,
    name: str,
    campus: str | None = entries.MAIN_CAMPUS,
    parts: Sequence[tuple[str, time, time]] = entries.DAY_PARTS,
    kinds: Sequence[tuple[str, str, int]] = entries.CLINIC_KINDS,
    policy: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Hospital:
    """Add a hospital with a first campus, parts of day, clinic kinds and policy, ready for a schedule.

    `facts` are columns of Hospital; `kinds` are (name, fee name, fee in cents); `policy` replaces defaults of the
    first version. Raises BadInput(field=). A repeat adds another hospital, with another slug.
    """
    with _writing() as session:
        return entries.new_hospital(
            session,
            clock.db_now(session),
            {"name": name, **facts},
            campus=campus,
            parts=parts,
            kinds=kinds,
            policy=policy,
        )


def change_hospital(hospital_id: int, **facts: Any) -> Hospital:
    """Set columns of a hospital. Raises NotFound, BadInput(field=). A repeat changes nothing."""
    with _writing() as session:
        hospital = session.get(Hospital, hospital_id)
        if hospital is None:
            raise NotFound("没有这家医院。")
        entries.apply(hospital, facts)
        return hospital


def set_preparation(hospital_id: int, kind: str, text: str) -> None:
    """Set what patients of a clinic kind (by its name) should do before a visit; empty: nothing. Told the evening before.

    At most 80 signs; over 35 a short message says where to read it. Raises NotFound, BadInput(field=). A repeat changes
    nothing.
    """
    plain = " ".join(text.split())
    if len(plain) > PREPARATION_MOST:
        raise BadInput(f"就诊准备最多 {PREPARATION_MOST} 字", field="preparation")
    with _writing() as session:
        row = session.scalars(
            select(ClinicKind).where(ClinicKind.hospital_id == hospital_id, ClinicKind.name == kind)
        ).first()
        if row is None:
            raise NotFound("没有这个号别。")
        row.preparation = plain


def add_campus(hospital_id: int, *, name: str, **facts: Any) -> Campus:
    """Add a campus. Raises NotFound, BadInput(field=)."""
    with _writing() as session:
        _hospital(session, hospital_id)
        return entries.new_campus(session, hospital_id, {"name": name, **facts})


def change_campus(hospital_id: int, campus_id: uuid.UUID, **facts: Any) -> Campus:
    """Set columns of a campus. Raises NotFound, BadInput(field=)."""
    with _writing() as session:
        return _changed(session, Campus, hospital_id, campus_id, facts, "没有这个院区。")


def add_department(hospital_id: int, *, name: str, **facts: Any) -> Department:
    """Add a department. Without `specialty_id` the specialty is found by name (呼吸科 is 呼吸内科).

    Raises NotFound, BadInput(field=).
    """
    with _writing() as session:
        _hospital(session, hospital_id)
        return entries.new_department(session, hospital_id, {"name": name, **facts})


def change_department(hospital_id: int, department_id: uuid.UUID, **facts: Any) -> Department:
    """Set columns of a department. Raises NotFound, BadInput(field=)."""
    with _writing() as session:
        return _changed(session, Department, hospital_id, department_id, facts, "没有这个科室。")


def add_doctor(hospital_id: int, *, name: str, **facts: Any) -> Doctor:
    """Add a doctor; pinyin and slug are made from the name unless given. Raises NotFound, BadInput(field=)."""
    with _writing() as session:
        _hospital(session, hospital_id)
        return entries.new_doctor(session, hospital_id, {"name": name, **facts})


def change_doctor(hospital_id: int, doctor_id: uuid.UUID, **facts: Any) -> Doctor:
    """Set columns of a doctor. Raises NotFound, BadInput(field=)."""
    with _writing() as session:
        return _changed(session, Doctor, hospital_id, doctor_id, facts, "没有这位医生。")


def add_practice(
    hospital_id: int,
    *,
    doctor_id: uuid.UUID,
    department_id: uuid.UUID,
    campus_id: uuid.UUID,
    position: int = 0,
) -> Practice:
    """Let a doctor see patients in a department on a campus; a repeat returns the same practice, active again.

    All three must be of this hospital: the foreign keys refuse anything else, as BadInput.
    """
    with _writing() as session:
        practice, _ = entries.practice_of(session, hospital_id, doctor_id, department_id, campus_id)
        practice.position = position
        return practice


def change_practice(hospital_id: int, practice_id: uuid.UUID, *, active: bool) -> Practice:
    """End or revive a practice; its sessions are the schedule's matter. Raises NotFound."""
    with _writing() as session:
        return _changed(session, Practice, hospital_id, practice_id, {"active": active}, "没有这个出诊关系。")


def add_specialty(*, name: str, **facts: Any) -> Specialty:
    """Add a standard specialty, shared by all hospitals. Raises BadInput(field=)."""
    with _writing() as session:
        return entries.new_specialty(session, {"name": name, **facts})


def change_specialty(specialty_id: int, **facts: Any) -> Specialty:
    """Set columns of a standard specialty. Raises NotFound, BadInput(field=)."""
    with _writing() as session:
        specialty = session.get(Specialty, specialty_id)
        if specialty is None:
            raise NotFound("没有这个科目。")
        entries.apply(specialty, facts)
        return specialty


def specialty_for(name: str) -> int | None:
    """Return the id of the standard specialty a department's name means, or None. Changes nothing."""
    return entries.find_specialty(entries.specialty_index(db.session()), name)


def _hospital(session: Session, hospital_id: int) -> None:
    if session.get(Hospital, hospital_id) is None:
        raise NotFound("没有这家医院。")


def _changed(
    session: Session,
    model: type[Row],
    hospital_id: int,
    key: uuid.UUID,
    facts: Mapping[str, Any],
    missing: str,
) -> Row:
    row = session.get(model, (hospital_id, key))
    if row is None:
        raise NotFound(missing)
    entries.apply(row, facts)
    return row
