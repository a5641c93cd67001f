"""Hospitals, departments, doctors, practices and policy."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "hospital",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("short_name", sa.String(length=60), nullable=False),
        sa.Column("level", sa.String(length=20), nullable=False),
        sa.Column("province", sa.String(length=40), nullable=False),
        sa.Column("city", sa.String(length=40), nullable=False),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=60), nullable=False),
        sa.Column("zone", sa.String(length=40), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("numbers_owner", sa.String(length=4), nullable=False),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.CheckConstraint("numbers_owner IN ('ours', 'his')", name=op.f("ck_hospital_numbers_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hospital")),
        sa.UniqueConstraint(
            "external_system", "external_id", name=op.f("uq_hospital_external_system_external_id")
        ),
        sa.UniqueConstraint("slug", name=op.f("uq_hospital_slug")),
    )
    op.create_index(op.f("ix_hospital_name"), "hospital", ["name"], unique=False)
    op.create_table(
        "specialty",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("parent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("has_clinic", sa.Boolean(), nullable=False),
        sa.Column("sensitive", sa.Boolean(), nullable=False),
        sa.Column("red_flags", sa.Text(), nullable=False),
        sa.Column("lay_words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["specialty.id"], name=op.f("fk_specialty_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specialty")),
        sa.UniqueConstraint("name", name=op.f("uq_specialty_name")),
        sa.UniqueConstraint("slug", name=op.f("uq_specialty_slug")),
    )
    op.create_table(
        "campus",
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=60), nullable=False),
        sa.Column("transport", sa.Text(), nullable=False),
        sa.Column("desk", sa.String(length=120), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_campus_hospital_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_campus")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_campus_hospital_id_external_system_external_id"),
        ),
        sa.UniqueConstraint("hospital_id", "slug", name=op.f("uq_campus_hospital_id_slug")),
    )
    op.create_table(
        "clinic_kind",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("fee_name", sa.String(length=40), nullable=False),
        sa.Column("fee_cents", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_clinic_kind_hospital_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_clinic_kind")),
        sa.UniqueConstraint("hospital_id", "name", name=op.f("uq_clinic_kind_hospital_id_name")),
    )
    op.create_table(
        "closure",
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("follows_weekday", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_closure_hospital_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_closure")),
        sa.UniqueConstraint("hospital_id", "on_date", name=op.f("uq_closure_hospital_id_on_date")),
    )
    op.create_table(
        "day_part",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("starts_local", sa.Time(), nullable=False),
        sa.Column("ends_local", sa.Time(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_day_part_hospital_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_day_part")),
        sa.UniqueConstraint("hospital_id", "name", name=op.f("uq_day_part_hospital_id_name")),
    )
    op.create_table(
        "department",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("specialty_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("has_clinic", sa.Boolean(), nullable=False),
        sa.Column("sensitive", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id", "parent_id"],
            ["department.hospital_id", "department.id"],
            name=op.f("fk_department_hospital_id_parent_id"),
        ),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_department_hospital_id")),
        sa.ForeignKeyConstraint(["specialty_id"], ["specialty.id"], name=op.f("fk_department_specialty_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_department")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_department_hospital_id_external_system_external_id"),
        ),
        sa.UniqueConstraint("hospital_id", "name", name=op.f("uq_department_hospital_id_name")),
    )
    op.create_index("ix_department_specialty", "department", ["specialty_id"], unique=False)
    op.create_table(
        "doctor",
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("pinyin", sa.String(length=120), nullable=False),
        sa.Column("title", sa.String(length=40), nullable=False),
        sa.Column("sex", sa.String(length=1), nullable=False),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("training", sa.Text(), nullable=False),
        sa.Column("licence_no", sa.String(length=40), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("imported", sa.Boolean(), nullable=False),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_doctor_hospital_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_doctor")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_doctor_hospital_id_external_system_external_id"),
        ),
        sa.UniqueConstraint("slug", name=op.f("uq_doctor_slug")),
    )
    op.create_index("ix_doctor_name", "doctor", ["hospital_id", "name"], unique=False)
    op.create_table(
        "policy",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon_days", sa.Integer(), nullable=False),
        sa.Column("release_time", sa.Time(), nullable=False),
        sa.Column("closing_minutes", sa.Integer(), nullable=False),
        sa.Column("cancel_days_before", sa.Integer(), nullable=False),
        sa.Column("cancel_time", sa.Time(), nullable=False),
        sa.Column("regret_minutes", sa.Integer(), nullable=False),
        sa.Column("hold_minutes", sa.Integer(), nullable=False),
        sa.Column("hold_minutes_first", sa.Integer(), nullable=False),
        sa.Column("hold_extensions", sa.Integer(), nullable=False),
        sa.Column("holds_per_person", sa.Integer(), nullable=False),
        sa.Column("anonymous_share", sa.Integer(), nullable=False),
        sa.Column("sign_in_first_minutes", sa.Integer(), nullable=False),
        sa.Column("per_department_day", sa.Integer(), nullable=False),
        sa.Column("per_day", sa.Integer(), nullable=False),
        sa.Column("refuse_overlap", sa.Boolean(), nullable=False),
        sa.Column("checkin_opens_minutes", sa.Integer(), nullable=False),
        sa.Column("arrive_minutes", sa.Integer(), nullable=False),
        sa.Column("late_minutes", sa.Integer(), nullable=False),
        sa.Column("no_show_count", sa.Integer(), nullable=False),
        sa.Column("no_show_days", sa.Integer(), nullable=False),
        sa.Column("no_show_block_days", sa.Integer(), nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=False),
        sa.Column("quiet_to", sa.Time(), nullable=False),
        sa.Column("generate_days", sa.Integer(), nullable=False),
        sa.Column("reminders", sa.Text(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_policy_hospital_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_policy")),
        sa.UniqueConstraint("hospital_id", "version", name=op.f("uq_policy_hospital_id_version")),
    )
    op.create_table(
        "practice",
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=False),
        sa.Column("campus_id", sa.Uuid(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id", "campus_id"],
            ["campus.hospital_id", "campus.id"],
            name=op.f("fk_practice_hospital_id_campus_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "department_id"],
            ["department.hospital_id", "department.id"],
            name=op.f("fk_practice_hospital_id_department_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "doctor_id"],
            ["doctor.hospital_id", "doctor.id"],
            name=op.f("fk_practice_hospital_id_doctor_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_practice")),
        sa.UniqueConstraint(
            "hospital_id",
            "doctor_id",
            "department_id",
            "campus_id",
            name=op.f("uq_practice_hospital_id_doctor_id_department_id_campus_id"),
        ),
    )
    op.create_index("ix_practice_department", "practice", ["hospital_id", "department_id"], unique=False)


def downgrade() -> None:
    op.drop_table("practice")
    op.drop_table("policy")
    op.drop_table("doctor")
    op.drop_table("department")
    op.drop_table("day_part")
    op.drop_table("closure")
    op.drop_table("clinic_kind")
    op.drop_table("campus")
    op.drop_table("specialty")
    op.drop_table("hospital")
