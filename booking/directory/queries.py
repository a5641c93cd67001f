"""Questions to the directory: hospitals, specialties, doctors and where they see patients, as plain values."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, or_, select, tuple_

from booking.db import core, db, read_once
from booking.directory.models import Campus, Department, Doctor, Hospital, Practice, Specialty
from booking.directory.views import (
    RANKS,
    CampusView,
    Choices,
    DepartmentView,
    DoctorCard,
    DoctorFilter,
    HospitalCard,
    HospitalPage,
    Key,
    PracticeView,
    SpecialtyCard,
    SpecialtyNode,
)


def hospital_cards(rows: Iterable[Hospital]) -> list[HospitalCard]:
    """Return loaded hospitals as cards."""
    return [_hospital_card(row) for row in rows]


def _hospital_card(row: Hospital) -> HospitalCard:
    names = HospitalCard.__dataclass_fields__
    return HospitalCard(**{name: getattr(row, name) for name in names})


def specialties() -> dict[int, SpecialtyCard]:
    """Return every standard specialty by id, in the order of the tree's positions. One query."""
    rows = db.session.scalars(select(Specialty).order_by(Specialty.position, Specialty.id)).all()
    by_id = {row.id: row for row in rows}
    return {row.id: _specialty_card(row, by_id.get(row.parent_id or 0)) for row in rows}


def _specialty_card(row: Specialty, parent: Specialty | None) -> SpecialtyCard:
    return SpecialtyCard(
        row.id,
        row.slug,
        row.name,
        row.about,
        row.has_clinic,
        row.sensitive,
        tuple(row.red_flags or ()),
        parent.slug if parent else "",
        parent.name if parent else "",
    )


def specialty(slug: str) -> SpecialtyCard | None:
    """Return the specialty of a URL word."""
    return next((card for card in specialties().values() if card.slug == slug), None)


def lay_words() -> dict[int, tuple[str, ...]]:
    """Return the everyday words of each specialty by its id."""
    rows = db.session.execute(select(Specialty.id, Specialty.lay_words))
    return {key: tuple(words or ()) for key, words in rows}


def _active_practices() -> Select[Any]:
    found: Any = (
        select(Practice.hospital_id, Practice.doctor_id)
        .join(Doctor, (Doctor.hospital_id == Practice.hospital_id) & (Doctor.id == Practice.doctor_id))
        .join(
            Department,
            (Department.hospital_id == Practice.hospital_id) & (Department.id == Practice.department_id),
        )
        .where(Practice.active, Doctor.active)
    )
    return found


def specialty_tree() -> list[SpecialtyNode]:
    """Return the two-level tree of specialties with counts, groups without anything left out last. Two queries."""
    counts: dict[int, tuple[set[Key], set[int]]] = {}
    rows = db.session.execute(
        _active_practices()
        .add_columns(Department.specialty_id)
        .where(Department.specialty_id.is_not(None))
        .distinct()
    )
    for hospital_id, doctor_id, specialty_id in rows:
        doctors, hospitals = counts.setdefault(specialty_id, (set(), set()))
        doctors.add((hospital_id, doctor_id))
        hospitals.add(hospital_id)
    cards = specialties()
    by_slug: dict[str, list[SpecialtyCard]] = {}
    for card in cards.values():
        by_slug.setdefault(card.parent_slug, []).append(card)

    def node(card: SpecialtyCard) -> SpecialtyNode:
        own_doctors, own_hospitals = counts.get(card.id, (set(), set()))
        children = by_slug.get(card.slug, [])
        doctors = own_doctors.union(*(counts[each.id][0] for each in children if each.id in counts))
        hospitals = own_hospitals.union(*(counts[each.id][1] for each in children if each.id in counts))
        return SpecialtyNode(card, len(doctors), len(hospitals), tuple(node(each) for each in children))

    return [node(card) for card in by_slug.get("", [])]


def doctor_cards(keys: Iterable[Key]) -> dict[Key, DoctorCard]:
    """Return the doctors of these keys with hospital and practices, in the order given. Two queries."""
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    cards = _cards(_doctors_query(by_slug=False), {"doctors": wanted})
    return {key: cards[key] for key in wanted if key in cards}


@cache
def _doctors_query(by_slug: bool) -> Select[*tuple[Any, ...]]:
    """Doctors with their hospitals: those of the keys `doctors`, or the active one of the word `slug`."""
    those = (
        (Doctor.slug == bindparam("slug")) & Doctor.active
        if by_slug
        else _among(Doctor.hospital_id, Doctor.id)
    )
    return select(Doctor, Hospital).join(Hospital, Hospital.id == Doctor.hospital_id).where(those)


def _cards(query: Select[*tuple[Any, ...]], asked: dict[str, Any]) -> dict[Key, DoctorCard]:
    """Return doctors with hospital and practices, in no order. Two queries."""
    rows = db.session.execute(query, asked).all()
    places = _practices([(doctor.hospital_id, doctor.id) for doctor, _ in rows]) if rows else {}
    return {
        (doctor.hospital_id, doctor.id): _doctor_card(
            doctor, hospital, places.get((doctor.hospital_id, doctor.id), [])
        )
        for doctor, hospital in rows
    }


def _among(hospital: Any, key: Any) -> ColumnElement[bool]:
    return tuple_(hospital, key).in_(bindparam("doctors", expanding=True))


def _doctor_card(doctor: Doctor, hospital: Hospital, practices: Sequence[PracticeView]) -> DoctorCard:
    return DoctorCard(
        doctor.hospital_id,
        doctor.id,
        doctor.slug,
        doctor.name,
        doctor.pinyin,
        doctor.title,
        doctor.sex,
        doctor.skill,
        doctor.about,
        doctor.training,
        doctor.licence_no,
        doctor.verified_at,
        doctor.imported,
        doctor.active,
        _hospital_card(hospital),
        tuple(practices),
    )


@cache
def _practices_query() -> Select[*tuple[Any, ...]]:
    """Where the doctors `doctors` see patients, after the doctor's key in the order of PracticeView's fields.

    Like the other kept statements it is built once: building one costs more than the database needs to answer it.
    """
    return (
        select(
            Practice.hospital_id,
            Practice.doctor_id,
            Practice.id,
            Department.id,
            Department.name,
            Department.specialty_id,
            func.coalesce(Specialty.slug, ""),
            Campus.id,
            Campus.name,
            Campus.slug,
            and_(Department.has_clinic, func.coalesce(Specialty.has_clinic, True)),
            Department.sensitive,
        )
        .join(
            Department,
            (Department.hospital_id == Practice.hospital_id) & (Department.id == Practice.department_id),
        )
        .join(Campus, (Campus.hospital_id == Practice.hospital_id) & (Campus.id == Practice.campus_id))
        .join(Specialty, Specialty.id == Department.specialty_id, isouter=True)
        .where(_among(Practice.hospital_id, Practice.doctor_id), Practice.active)
        .order_by(Practice.position, Campus.position, Practice.id)
    )


def _practices(wanted: Sequence[Key]) -> dict[Key, list[PracticeView]]:
    found: dict[Key, list[PracticeView]] = {}
    for hospital_id, doctor_id, *place in db.session.execute(_practices_query(), {"doctors": wanted}):
        found.setdefault((hospital_id, doctor_id), []).append(PracticeView(*place))
    return found


_SLUG = select(core(Doctor).c.slug).where(
    core(Doctor).c.hospital_id == bindparam("hospital"), core(Doctor).c.id == bindparam("doctor")
)


def doctor_slug(hospital_id: int, doctor_id: uuid.UUID) -> str:
    """Return the name of a doctor in addresses, also of one who has left. The doctor must be there."""
    slug: str = read_once(_SLUG, {"hospital": hospital_id, "doctor": doctor_id})[0][0]
    return slug


def doctor(slug: str) -> DoctorCard | None:
    """Return the active doctor of a URL word. Two queries."""
    return next(iter(_cards(_doctors_query(by_slug=True), {"slug": slug}).values()), None)


def doctor_keys(narrow: DoctorFilter, limit: int | None = None) -> list[Key]:
    """Return the keys of the active doctors that fit, by rank of title, then name. One query."""
    rank = _rank().label("rank")
    found = _active_practices().add_columns(rank, Doctor.pinyin)
    found = found.where(*_fits(narrow)).distinct().order_by(rank, Doctor.pinyin, Practice.doctor_id)
    if limit is not None:
        found = found.limit(limit)
    return [(row[0], row[1]) for row in db.session.execute(found)]


def _rank() -> ColumnElement[int]:
    """1 for the highest title; titles of no known rank come last."""
    places = {title: at for at, title in enumerate(RANKS, start=1)}
    return case(places, value=Doctor.title, else_=len(RANKS) + 1)


def _fits(narrow: DoctorFilter) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if narrow.dept:
        own = select(Specialty.id).where(Specialty.slug == narrow.dept).scalar_subquery()
        under = select(Specialty.id).where(Specialty.parent_id == own)
        wanted.append(or_(Department.specialty_id == own, Department.specialty_id.in_(under)))
    if narrow.department:
        wanted.append(Practice.department_id == narrow.department)
    if narrow.hospital:
        wanted.append(
            Practice.hospital_id
            == select(Hospital.id).where(Hospital.slug == narrow.hospital).scalar_subquery()
        )
    if narrow.campus:
        wanted.append(
            select(Campus.id)
            .where(
                Campus.hospital_id == Practice.hospital_id,
                Campus.id == Practice.campus_id,
                Campus.slug == narrow.campus,
            )
            .exists()
        )
    if narrow.title:
        wanted.append(Doctor.title == narrow.title)
    if narrow.sex:
        wanted.append(Doctor.sex == narrow.sex)
    return wanted


def choices(hospital: str = "") -> Choices:
    """Return what the doctor list's filters offer; campuses only within one hospital. Three queries."""
    hospitals = db.session.execute(
        select(Hospital.slug, Hospital.name)
        .where(select(Doctor.id).where(Doctor.hospital_id == Hospital.id, Doctor.active).exists())
        .order_by(Hospital.id)
    )
    used = _active_practices().with_only_columns(Department.specialty_id).distinct()
    fields = db.session.execute(
        select(Specialty.slug, Specialty.name)
        .where(Specialty.id.in_(used))
        .order_by(Specialty.position, Specialty.id)
    )
    campuses = (
        db.session.execute(
            select(Campus.slug, Campus.name)
            .join(Hospital, Hospital.id == Campus.hospital_id)
            .where(Hospital.slug == hospital)
            .order_by(Campus.position, Campus.id)
        )
        if hospital
        else ()
    )
    return Choices(
        tuple((slug, name) for slug, name in hospitals),
        tuple((slug, name) for slug, name in campuses),
        tuple((slug, name) for slug, name in fields),
    )


def hospitals(
    *, city: str = "", specialty_id: int | None = None, limit: int = 20, offset: int = 0
) -> list[HospitalCard]:
    """Return hospitals, those with doctors first, then by level; narrowed to a city or a specialty. One query."""
    staffed = select(Doctor.id).where(Doctor.hospital_id == Hospital.id, Doctor.active).exists()
    found = select(Hospital).order_by(staffed.desc(), (Hospital.level == "").asc(), Hospital.id)
    if city:
        found = found.where(Hospital.city == city)
    if specialty_id:
        found = found.where(
            select(Department.id)
            .where(Department.hospital_id == Hospital.id, Department.specialty_id == specialty_id)
            .exists()
        )
    return [_hospital_card(row) for row in db.session.scalars(found.limit(limit).offset(offset))]


def count_hospitals(city: str = "") -> int:
    """Return how many hospitals there are, in a city or at all."""
    found = select(func.count()).select_from(Hospital)
    return db.session.scalar(found.where(Hospital.city == city) if city else found) or 0


def hospital_page(slug: str) -> HospitalPage | None:
    """Return what the page of a hospital needs. Four queries."""
    hospital = db.session.scalars(select(Hospital).where(Hospital.slug == slug)).one_or_none()
    if hospital is None:
        return None
    campuses = db.session.scalars(
        select(Campus).where(Campus.hospital_id == hospital.id).order_by(Campus.position, Campus.id)
    )
    return HospitalPage(
        _hospital_card(hospital),
        hospital.about,
        hospital.transport,
        tuple(
            CampusView(row.id, row.slug, row.name, row.address, row.phone, row.transport, row.desk)
            for row in campuses
        ),
        tuple(departments(hospital.id)),
        tuple(doctor_keys(DoctorFilter(hospital=slug))),
    )


def departments(hospital_id: int) -> list[DepartmentView]:
    """Return a hospital's departments with how many doctors each has. One query."""
    doctors = (
        select(func.count(Practice.doctor_id.distinct()))
        .join(Doctor, (Doctor.hospital_id == Practice.hospital_id) & (Doctor.id == Practice.doctor_id))
        .where(
            Practice.hospital_id == Department.hospital_id,
            Practice.department_id == Department.id,
            Practice.active,
            Doctor.active,
        )
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Department, Specialty.slug, doctors)
        .join(Specialty, Specialty.id == Department.specialty_id, isouter=True)
        .where(Department.hospital_id == hospital_id)
        .order_by(Department.position, Department.id)
    )
    return [
        DepartmentView(
            row.hospital_id,
            row.id,
            row.name,
            row.about,
            row.has_clinic,
            row.sensitive,
            row.specialty_id,
            slug or "",
            count,
        )
        for row, slug, count in rows
    ]


def recommended_doctors(
    specialty_id: int | None, *, exclude: Iterable[Key] = (), limit: int = 12
) -> list[Key]:
    """Return doctors with clinics of a specialty and its group, verified and higher titles first; never `exclude`.

    The door asks the schedule for their next times and shows the soonest three. One query.
    """
    rank = _rank().label("rank")
    found = _active_practices().where(Department.has_clinic)
    if specialty_id:
        found = found.where(
            or_(
                Department.specialty_id == specialty_id,
                Department.specialty_id.in_(select(Specialty.id).where(Specialty.parent_id == specialty_id)),
            )
        )
    unverified = Doctor.verified_at.is_(None).label("unverified")
    found = found.add_columns(unverified, rank).distinct().order_by(unverified, rank, Practice.doctor_id)
    left_out = set(exclude)
    rows = db.session.execute(found.limit(limit + len(left_out)))
    return [(row[0], row[1]) for row in rows if (row[0], row[1]) not in left_out][:limit]
