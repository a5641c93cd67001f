"""The waiting list: wishes, offers, resting places, and the policy's numbers for them.

Safe while the previous release runs: its places never rest, and it leaves the new tables alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "wish",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("first_date", sa.Date(), nullable=False),
        sa.Column("last_date", sa.Date(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("turn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("turns_kept", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("line_at_join", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(length=12), nullable=False),
        sa.Column("request_key", sa.String(length=80), nullable=True),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(status IN ('waiting', 'offered')) = (ended_at IS NULL)", name=op.f("ck_wish_ended_says_when")
        ),
        sa.CheckConstraint(
            "status IN ('waiting', 'offered', 'served', 'ended')", name=op.f("ck_wish_status")
        ),
        sa.CheckConstraint("last_date >= first_date", name=op.f("ck_wish_dates_in_order")),
        sa.CheckConstraint("party BETWEEN 1 AND 2", name=op.f("ck_wish_one_or_a_pair")),
        sa.CheckConstraint("turns_kept >= 0", name=op.f("ck_wish_turns_kept")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_wish_account_id")),
        sa.ForeignKeyConstraint(
            ["hospital_id", "session_id"],
            ["clinic_session.hospital_id", "clinic_session.id"],
            name=op.f("fk_wish_hospital_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_wish")),
        sa.UniqueConstraint("hospital_id", "account_id", "request_key", name="uq_one_wish_per_request_key"),
    )
    op.create_index("ix_wish_account", "wish", ["account_id", "joined_at"], unique=False)
    op.create_index("ix_wish_session", "wish", ["hospital_id", "session_id"], unique=False)
    op.create_index(
        "ix_wish_waiting",
        "wish",
        ["hospital_id", "turn_at"],
        unique=False,
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_table(
        "wish_choice",
        sa.Column("wish_id", sa.Uuid(), nullable=False),
        sa.Column("last_date", sa.Date(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("department_id", sa.Uuid(), nullable=True),
        sa.Column("day_part_id", sa.Uuid(), nullable=True),
        sa.Column("campus_id", sa.Uuid(), nullable=True),
        sa.Column("clinic_kind_id", sa.Uuid(), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(CASE WHEN doctor_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN department_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN day_part_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN campus_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN clinic_kind_id IS NULL THEN 0 ELSE 1 END) = 1",
            name=op.f("ck_wish_choice_names_one_thing"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "campus_id"],
            ["campus.hospital_id", "campus.id"],
            name=op.f("fk_wish_choice_hospital_id_campus_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "clinic_kind_id"],
            ["clinic_kind.hospital_id", "clinic_kind.id"],
            name=op.f("fk_wish_choice_hospital_id_clinic_kind_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "day_part_id"],
            ["day_part.hospital_id", "day_part.id"],
            name=op.f("fk_wish_choice_hospital_id_day_part_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "department_id"],
            ["department.hospital_id", "department.id"],
            name=op.f("fk_wish_choice_hospital_id_department_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "doctor_id"],
            ["doctor.hospital_id", "doctor.id"],
            name=op.f("fk_wish_choice_hospital_id_doctor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "wish_id"],
            ["wish.hospital_id", "wish.id"],
            name=op.f("fk_wish_choice_hospital_id_wish_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_wish_choice")),
    )
    op.create_index(
        "ix_wish_choice_department",
        "wish_choice",
        ["hospital_id", "department_id", "last_date"],
        unique=False,
        sqlite_where=sa.text("department_id IS NOT NULL"),
        postgresql_where=sa.text("department_id IS NOT NULL"),
    )
    op.create_index(
        "ix_wish_choice_doctor",
        "wish_choice",
        ["hospital_id", "doctor_id", "last_date"],
        unique=False,
        sqlite_where=sa.text("doctor_id IS NOT NULL"),
        postgresql_where=sa.text("doctor_id IS NOT NULL"),
    )
    op.create_index("ix_wish_choice_wish", "wish_choice", ["hospital_id", "wish_id"], unique=False)
    op.create_table(
        "wish_patient",
        sa.Column("wish_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("seat BETWEEN 1 AND 2", name=op.f("ck_wish_patient_one_or_a_pair")),
        sa.ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_wish_only_for_linked_patients",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_wish_patient_account_id")),
        sa.ForeignKeyConstraint(
            ["hospital_id", "patient_id"],
            ["chart.hospital_id", "chart.patient_id"],
            name=op.f("fk_wish_patient_hospital_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "wish_id"],
            ["wish.hospital_id", "wish.id"],
            name=op.f("fk_wish_patient_hospital_id_wish_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_wish_patient")),
        sa.UniqueConstraint(
            "hospital_id", "wish_id", "seat", name=op.f("uq_wish_patient_hospital_id_wish_id_seat")
        ),
    )
    op.create_index("ix_wish_patient_patient", "wish_patient", ["hospital_id", "patient_id"], unique=False)
    op.create_index(
        "uq_one_live_wish_per_patient_and_session",
        "wish_patient",
        ["hospital_id", "session_id", "patient_id"],
        unique=True,
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "wish_offer",
        sa.Column("wish_id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("slot_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accept_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'declined', 'expired', 'withdrawn')", name=op.f("ck_wish_offer_outcome")
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_wish_offer_ended_says_when")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "appointment_id"],
            ["appointment.hospital_id", "appointment.id"],
            name=op.f("fk_wish_offer_hospital_id_appointment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "patient_id"],
            ["chart.hospital_id", "chart.patient_id"],
            name=op.f("fk_wish_offer_hospital_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "wish_id"],
            ["wish.hospital_id", "wish.id"],
            name=op.f("fk_wish_offer_hospital_id_wish_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_wish_offer")),
        sa.UniqueConstraint("hospital_id", "appointment_id", name="uq_one_offer_per_appointment"),
    )
    op.create_index("ix_wish_offer_wish", "wish_offer", ["hospital_id", "wish_id"], unique=False)
    op.create_index(
        "uq_one_live_offer_per_wish_and_patient",
        "wish_offer",
        ["hospital_id", "wish_id", "patient_id"],
        unique=True,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.add_column("place", sa.Column("freed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_place_to_ask",
        "place",
        ["hospital_id", "freed_at"],
        unique=False,
        sqlite_where=sa.text("freed_at IS NOT NULL AND appointment_id IS NULL"),
        postgresql_where=sa.text("freed_at IS NOT NULL AND appointment_id IS NULL"),
    )
    op.add_column("message", sa.Column("wish_id", sa.Uuid(), nullable=True))
    op.add_column("policy", sa.Column("offer_minutes", sa.Integer(), nullable=False, server_default="60"))
    op.add_column("policy", sa.Column("pair_minutes", sa.Integer(), nullable=False, server_default="120"))
    op.add_column("policy", sa.Column("wishes_per_patient", sa.Integer(), nullable=False, server_default="3"))
    op.add_column("policy", sa.Column("wish_turns_kept", sa.Integer(), nullable=False, server_default="1"))
    op.add_column(
        "policy", sa.Column("wish_ends_days_before", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column(
        "policy", sa.Column("wish_ends_time", sa.Time(), nullable=False, server_default="23:00:00.000000")
    )
    op.add_column(
        "policy", sa.Column("return_from", sa.Time(), nullable=False, server_default="10:00:00.000000")
    )
    op.add_column(
        "policy", sa.Column("return_to", sa.Time(), nullable=False, server_default="20:00:00.000000")
    )


def downgrade() -> None:
    op.drop_column("policy", "return_to")
    op.drop_column("policy", "return_from")
    op.drop_column("policy", "wish_ends_time")
    op.drop_column("policy", "wish_ends_days_before")
    op.drop_column("policy", "wish_turns_kept")
    op.drop_column("policy", "wishes_per_patient")
    op.drop_column("policy", "pair_minutes")
    op.drop_column("policy", "offer_minutes")
    op.drop_column("message", "wish_id")
    op.drop_index(
        "ix_place_to_ask",
        table_name="place",
        sqlite_where=sa.text("freed_at IS NOT NULL AND appointment_id IS NULL"),
        postgresql_where=sa.text("freed_at IS NOT NULL AND appointment_id IS NULL"),
    )
    op.drop_column("place", "freed_at")
    op.drop_index(
        "uq_one_live_offer_per_wish_and_patient",
        table_name="wish_offer",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_index("ix_wish_offer_wish", table_name="wish_offer")
    op.drop_table("wish_offer")
    op.drop_index(
        "uq_one_live_wish_per_patient_and_session",
        table_name="wish_patient",
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.drop_index("ix_wish_patient_patient", table_name="wish_patient")
    op.drop_table("wish_patient")
    op.drop_index("ix_wish_choice_wish", table_name="wish_choice")
    op.drop_index(
        "ix_wish_choice_doctor",
        table_name="wish_choice",
        sqlite_where=sa.text("doctor_id IS NOT NULL"),
        postgresql_where=sa.text("doctor_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_wish_choice_department",
        table_name="wish_choice",
        sqlite_where=sa.text("department_id IS NOT NULL"),
        postgresql_where=sa.text("department_id IS NOT NULL"),
    )
    op.drop_table("wish_choice")
    op.drop_index(
        "ix_wish_waiting",
        table_name="wish",
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.drop_index("ix_wish_session", table_name="wish")
    op.drop_index("ix_wish_account", table_name="wish")
    op.drop_table("wish")
