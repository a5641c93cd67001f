"""What the directory's questions return: small values without a way back to the database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime

Key = tuple[int, uuid.UUID]
"""A doctor everywhere: (hospital id, doctor id)."""

RANKS = ("主任医师", "副主任医师", "主治医师", "住院医师", "医师")


@dataclass(frozen=True)
class HospitalCard:
    """A hospital as lists and doctor cards show it."""

    id: int
    slug: str
    name: str
    short_name: str
    level: str
    province: str
    city: str
    district: str
    address: str
    phone: str
    zone: str


@dataclass(frozen=True)
class SpecialtyCard:
    """A standard specialty; `parent_slug` and `parent_name` are empty at the top of the tree."""

    id: int
    slug: str
    name: str
    about: str = ""
    has_clinic: bool = True
    sensitive: bool = False
    red_flags: tuple[str, ...] = ()
    parent_slug: str = ""
    parent_name: str = ""


@dataclass(frozen=True)
class SpecialtyNode:
    """A specialty with how many doctors and hospitals have it; a group counts those of its children too."""

    specialty: SpecialtyCard
    doctors: int
    hospitals: int
    children: tuple[SpecialtyNode, ...] = ()


@dataclass(frozen=True)
class PracticeView:
    """Where a doctor sees patients."""

    id: uuid.UUID
    department_id: uuid.UUID
    department: str
    specialty_id: int | None
    specialty_slug: str
    campus_id: uuid.UUID
    campus: str
    campus_slug: str
    has_clinic: bool
    sensitive: bool


@dataclass(frozen=True)
class DoctorCard:
    """A doctor with hospital and practices. `has_clinic` is false when every department is one without clinics."""

    hospital_id: int
    id: uuid.UUID
    slug: str
    name: str
    pinyin: str
    title: str
    sex: str
    skill: str
    about: str
    training: str
    licence_no: str
    verified_at: datetime | None
    imported: bool
    active: bool
    hospital: HospitalCard
    practices: tuple[PracticeView, ...] = ()

    @property
    def key(self) -> Key:
        return (self.hospital_id, self.id)

    @property
    def department(self) -> str:
        return self.practices[0].department if self.practices else ""

    @property
    def has_clinic(self) -> bool:
        return any(practice.has_clinic for practice in self.practices)


@dataclass(frozen=True)
class CampusView:
    id: uuid.UUID
    slug: str
    name: str
    address: str
    phone: str
    transport: str
    desk: str


@dataclass(frozen=True)
class DepartmentView:
    """A hospital's department with its number of doctors; `doctors` counts active ones once."""

    hospital_id: int
    id: uuid.UUID
    name: str
    about: str
    has_clinic: bool
    sensitive: bool
    specialty_id: int | None
    specialty_slug: str
    doctors: int


@dataclass(frozen=True)
class HospitalPage:
    """What a hospital's page shows; doctors are keys for the schedule to order by next time."""

    hospital: HospitalCard
    about: str
    transport: str
    campuses: tuple[CampusView, ...]
    departments: tuple[DepartmentView, ...]
    doctors: tuple[Key, ...]


@dataclass(frozen=True)
class DoctorFilter:
    """What a doctor list is narrowed to; empty means any.

    `dept` is a specialty's slug, `department` a hospital's own department.
    """

    dept: str = ""
    department: uuid.UUID | None = None
    hospital: str = ""
    campus: str = ""
    title: str = ""
    sex: str = ""


@dataclass(frozen=True)
class Choices:
    """What the doctor list's filters offer: pairs of value and name."""

    hospitals: tuple[tuple[str, str], ...] = ()
    campuses: tuple[tuple[str, str], ...] = ()
    specialties: tuple[tuple[str, str], ...] = ()
    titles: tuple[str, ...] = field(default=RANKS)
