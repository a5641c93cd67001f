"""`flask import hospitals|departments|doctors`."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from booking.content.importing import import_file
from booking.db import db
from booking.directory import queries, service
from booking.directory.models import Campus, Department, Doctor, Hospital, Policy, Practice, Specialty
from booking.directory.queries import DoctorFilter
from booking.errors import BadInput

HOSPITALS = """name,level,province,city,district,address,phone,departments,source
青萍市人民医院,三级甲等,澜东省,青萍市,河东区,河东路 1 号,0571-000000010571-00000002,骨科;呼吸科;病理科,x
青萍市红十字会,,澜东省,青萍市,,,,,x
"望溪县红十字会
望溪县慈善会",,澜东省,望溪县,,,,,x
望溪县中医院,,澜东省,望溪县,,,,,x
,,,,,某路,,,x
"""


def counted(report):
    counts = report.counts
    return (
        counts["created"],
        counts["changed"],
        counts["unchanged"] + counts["duplicate"],
        counts["refused"],
    )


@pytest.fixture
def hospitals(within, tmp_path):
    file = tmp_path / "h.csv"
    file.write_text(HOSPITALS, encoding="utf-8")
    return file


def test_hospitals_come_ready_for_a_schedule(hospitals):
    report = import_file("hospitals", hospitals)
    assert counted(report) == (2, 0, 0, 3)
    assert [row.number for row in report.refused] == [3, 4, 6]
    hospital = db.session.scalars(select(Hospital).where(Hospital.name == "青萍市人民医院")).one()
    assert hospital.phone == "0571-00000001、0571-00000002"
    page = queries.hospital_page(hospital.slug)
    assert page is not None and len(page.campuses) == 1
    assert [(each.name, each.has_clinic) for each in page.departments] == [
        ("骨科", True),
        ("呼吸科", True),
        ("病理科", False),
    ]
    assert db.session.scalar(select(func.count()).select_from(Policy)) == 2
    assert counted(import_file("hospitals", hospitals)) == (0, 0, 2, 3)


def test_a_hospital_is_brought_up_to_date_and_an_empty_cell_changes_nothing(hospitals, tmp_path):
    import_file("hospitals", hospitals)
    file = tmp_path / "again.jsonl"
    file.write_text('{"医院名称": "青萍市人民医院", "地址": "新路 2 号", "电话": ""}\n', encoding="utf-8")
    assert counted(import_file("hospitals", file)) == (0, 1, 0, 0)
    hospital = db.session.scalars(select(Hospital).where(Hospital.name == "青萍市人民医院")).one()
    assert hospital.address == "新路 2 号" and hospital.phone


def test_two_hospitals_of_one_name_in_two_cities_stay_two(within, tmp_path):
    file = tmp_path / "h.csv"
    file.write_text("name,city\n人民医院,甲市\n人民医院,乙市\n人民医院,甲市\n", encoding="utf-8")
    assert counted(import_file("hospitals", file)) == (2, 0, 1, 0)
    assert counted(import_file("hospitals", file)) == (0, 0, 3, 0)


def test_standard_departments_form_a_tree_of_two_levels(within, tmp_path):
    file = tmp_path / "d.csv"
    file.write_text(
        "source,code,name,parent_code\n"
        "s,03,内科,\ns,03.01,呼吸内科专业,03\ns,03.02,其他,03\ns,04,外科,\ns,04.01,骨科专业,04\n"
        "t,,呼吸科,\nt,,心血管科,\nt,,其他,\nt,9,某科,99\n",
        encoding="utf-8",
    )
    report = import_file("departments", file)
    assert counted(report) == (6, 0, 1, 2)
    assert [(row.number, row.column) for row in report.refused] == [(9, "name"), (10, "parent_code")]
    names = dict(db.session.execute(select(Specialty.name, Specialty.parent_id)).all())
    ids = dict(db.session.execute(select(Specialty.name, Specialty.id)).all())
    assert names["呼吸内科"] == names["内科其他"] == names["心内科"] == ids["内科"]
    assert names["骨科"] == ids["外科"] and names["内科"] is None
    assert counted(import_file("departments", file)) == (0, 0, 7, 2)


def test_departments_of_a_hospital_are_linked_to_their_specialty(hospitals, tmp_path):
    import_file("hospitals", hospitals)
    file = tmp_path / "d.csv"
    file.write_text(
        "医院,科室名称,简介\n望溪县中医院,心血管科,看心脏\n没有的医院,骨科,\n青萍市人民医院,骨科,看骨头\n",
        encoding="utf-8",
    )
    report = import_file("departments", file)
    assert counted(report) == (1, 1, 0, 1)
    assert (report.refused[0].number, report.refused[0].column) == (3, "医院")
    row = db.session.execute(
        select(Department, Specialty.name)
        .join(Specialty, Specialty.id == Department.specialty_id)
        .where(Department.name == "心血管科")
    ).one()
    assert row[1] == "心内科"


DOCTORS = """hospital,name,title,department,campus,skill,licence_no,pinyin,性别
青萍市人民医院,沈一,主任医师,骨科,,膝关节,1100000000001,,女
青萍市人民医院,沈一,医师,呼吸科,,咳嗽,1100000000002,,男
青萍市人民医院,单二,副主任医师,骨科,东院,肩,1100000000003,shan er,
没有的医院,王三,,,,,,,
青萍市人民医院,,医师,,,,,,
青萍市人民医院,赵四,,,,,,,不详
"""


def test_a_hospital_brings_its_own_doctors(hospitals, tmp_path):
    import_file("hospitals", hospitals)
    file = tmp_path / "doctors.csv"
    file.write_text(DOCTORS, encoding="gb18030")
    report = import_file("doctors", file)
    assert counted(report) == (3, 0, 0, 3)
    assert [(row.number, row.column) for row in report.refused] == [(5, "hospital"), (6, "name"), (7, "性别")]
    assert counted(import_file("doctors", file)) == (0, 0, 3, 3)
    rows = db.session.scalars(select(Doctor).order_by(Doctor.licence_no)).all()
    assert [(row.slug, row.pinyin, row.sex) for row in rows] == [
        ("shenyi", "shen yi", "f"),
        ("shenyi-2", "shen yi", "m"),
        ("daner", "shan er", ""),
    ]
    assert all(row.verified_at is None for row in rows)
    assert db.session.scalar(select(func.count()).select_from(Practice)) == 3
    assert db.session.scalar(select(func.count()).select_from(Campus)) == 3
    slug = db.session.scalars(select(Hospital.slug).where(Hospital.name == "青萍市人民医院")).one()
    keys = queries.doctor_keys(DoctorFilter(hospital=slug, dept="guke"))
    assert [card.name for card in queries.doctor_cards(keys).values()] == ["沈一", "单二"]
    assert len(queries.doctor_keys(DoctorFilter(hospital=slug, campus="dongyuan"))) == 1
    assert len(queries.doctor_keys(DoctorFilter(sex="f"))) == 1


def test_a_new_hospital_has_defaults_and_a_slug_of_its_own(within):
    first = service.add_hospital(name="青萍市人民医院")
    second = service.add_hospital(name="青萍市人民医院", campus=None)
    assert first.slug != second.slug
    with pytest.raises(BadInput) as refusal:
        service.add_hospital(name="  ")
    assert refusal.value.facts["field"] == "name"
    with pytest.raises(BadInput):
        service.change_hospital(first.id, name="长" * 121)
    assert service.change_hospital(first.id, level="三级").level == "三级"


def test_a_practice_cannot_reach_into_another_hospital(within):
    one, two = service.add_hospital(name="甲医院"), service.add_hospital(name="乙医院")
    campus = db.session.scalars(select(Campus).where(Campus.hospital_id == one.id)).one()
    department = service.add_department(one.id, name="呼吸科")
    doctor = service.add_doctor(one.id, name="林一")
    practice = service.add_practice(
        one.id, doctor_id=doctor.id, department_id=department.id, campus_id=campus.id
    )
    again = service.add_practice(
        one.id, doctor_id=doctor.id, department_id=department.id, campus_id=campus.id
    )
    assert practice.id == again.id
    stranger = service.add_doctor(two.id, name="林二")
    with pytest.raises(BadInput, match="不属于本医院"):
        service.add_practice(one.id, doctor_id=stranger.id, department_id=department.id, campus_id=campus.id)
    assert db.session.scalar(select(func.count()).select_from(Practice)) == 1
