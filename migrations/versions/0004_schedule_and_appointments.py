"""Templates, sessions, slots, places; appointments and the constraints that stop double booking."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "chart",
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_chart_hospital_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_chart_patient_id")),
        sa.PrimaryKeyConstraint("hospital_id", "patient_id", name=op.f("pk_chart")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_chart_hospital_id_external_system_external_id"),
        ),
    )
    op.create_table(
        "clinic_session",
        sa.Column("practice_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("day_part_id", sa.Uuid(), nullable=False),
        sa.Column("clinic_kind_id", sa.Uuid(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("starts_local", sa.Time(), nullable=False),
        sa.Column("ends_local", sa.Time(), nullable=False),
        sa.Column("zone", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slot_minutes", sa.Integer(), nullable=False),
        sa.Column("places_per_slot", sa.Integer(), nullable=False),
        sa.Column("fee_cents", sa.Integer(), nullable=False),
        sa.Column("room", sa.String(length=60), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("release_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closing_minutes", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=4), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("stop_reason", sa.String(length=200), nullable=False),
        sa.Column("stop_note", sa.String(length=200), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_count", sa.Integer(), nullable=False),
        sa.Column("last_queue_number", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_by", sa.String(length=60), nullable=False),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("owner IN ('ours', 'his')", name=op.f("ck_clinic_session_owner")),
        sa.CheckConstraint(
            "status IN ('draft', 'published', 'running', 'finished', 'stopped')",
            name=op.f("ck_clinic_session_status"),
        ),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_clinic_session_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["hospital_id", "clinic_kind_id"],
            ["clinic_kind.hospital_id", "clinic_kind.id"],
            name=op.f("fk_clinic_session_hospital_id_clinic_kind_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "day_part_id"],
            ["day_part.hospital_id", "day_part.id"],
            name=op.f("fk_clinic_session_hospital_id_day_part_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "doctor_id"],
            ["doctor.hospital_id", "doctor.id"],
            name=op.f("fk_clinic_session_hospital_id_doctor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "policy_version"],
            ["policy.hospital_id", "policy.version"],
            name=op.f("fk_clinic_session_hospital_id_policy_version"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "practice_id"],
            ["practice.hospital_id", "practice.id"],
            name=op.f("fk_clinic_session_hospital_id_practice_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_clinic_session")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_clinic_session_hospital_id_external_system_external_id"),
        ),
        sa.UniqueConstraint(
            "hospital_id",
            "practice_id",
            "local_date",
            "day_part_id",
            name="uq_one_session_per_practice_and_part",
        ),
    )
    op.create_index("ix_clinic_session_date", "clinic_session", ["hospital_id", "local_date"], unique=False)
    op.create_index(
        "ix_clinic_session_doctor", "clinic_session", ["hospital_id", "doctor_id", "local_date"], unique=False
    )
    op.create_table(
        "template",
        sa.Column("practice_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("day_part_id", sa.Uuid(), nullable=False),
        sa.Column("starts_local", sa.Time(), nullable=False),
        sa.Column("ends_local", sa.Time(), nullable=False),
        sa.Column("slot_minutes", sa.Integer(), nullable=False),
        sa.Column("places_per_slot", sa.Integer(), nullable=False),
        sa.Column("clinic_kind_id", sa.Uuid(), nullable=False),
        sa.Column("fee_cents", sa.Integer(), nullable=False),
        sa.Column("room", sa.String(length=60), nullable=False),
        sa.Column("weeks", sa.String(length=5), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("skips_holidays", sa.Boolean(), nullable=False),
        sa.Column("publishes", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("weeks IN ('every', 'odd', 'even')", name=op.f("ck_template_weeks")),
        sa.CheckConstraint("ends_local > starts_local", name=op.f("ck_template_ends_after_start")),
        sa.CheckConstraint("places_per_slot BETWEEN 1 AND 60", name=op.f("ck_template_places_per_slot")),
        sa.CheckConstraint("slot_minutes BETWEEN 10 AND 60", name=op.f("ck_template_slot_minutes")),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_template_weekday")),
        sa.ForeignKeyConstraint(
            ["hospital_id", "clinic_kind_id"],
            ["clinic_kind.hospital_id", "clinic_kind.id"],
            name=op.f("fk_template_hospital_id_clinic_kind_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "day_part_id"],
            ["day_part.hospital_id", "day_part.id"],
            name=op.f("fk_template_hospital_id_day_part_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "practice_id"],
            ["practice.hospital_id", "practice.id"],
            name=op.f("fk_template_hospital_id_practice_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_template")),
    )
    op.create_index("ix_template_practice", "template", ["hospital_id", "practice_id"], unique=False)
    op.create_table(
        "slot",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("starts_local", sa.Time(), nullable=False),
        sa.Column("ends_local", sa.Time(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id", "session_id"],
            ["clinic_session.hospital_id", "clinic_session.id"],
            name=op.f("fk_slot_hospital_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_slot")),
        sa.UniqueConstraint(
            "hospital_id", "session_id", "starts_at", name=op.f("uq_slot_hospital_id_session_id_starts_at")
        ),
    )
    op.create_table(
        "place",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("slot_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "channel IN ('web', 'phone', 'desk', 'elder', 'return', 'referral', 'extra')",
            name=op.f("ck_place_channel"),
        ),
        sa.CheckConstraint(
            "NOT (withdrawn AND appointment_id IS NOT NULL)", name=op.f("ck_place_withdrawn_is_free")
        ),
        sa.CheckConstraint("NOT (withdrawn AND open)", name=op.f("ck_place_withdrawn_is_not_open")),
        sa.ForeignKeyConstraint(
            ["hospital_id", "id", "appointment_id"],
            ["appointment.hospital_id", "appointment.holds_place_id", "appointment.id"],
            name="fk_taken_place_and_appointment_agree",
            initially="DEFERRED",
            deferrable=True,
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "session_id"],
            ["clinic_session.hospital_id", "clinic_session.id"],
            name=op.f("fk_place_hospital_id_session_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "slot_id"],
            ["slot.hospital_id", "slot.id"],
            name=op.f("fk_place_hospital_id_slot_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_place")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_place_hospital_id_external_system_external_id"),
        ),
        sa.UniqueConstraint(
            "hospital_id", "id", "appointment_id", name=op.f("uq_place_hospital_id_id_appointment_id")
        ),
        sa.UniqueConstraint(
            "hospital_id", "slot_id", "position", name=op.f("uq_place_hospital_id_slot_id_position")
        ),
    )
    op.create_index(
        "ix_free_place",
        "place",
        ["hospital_id", "slot_id", "position"],
        unique=False,
        sqlite_where=sa.text("appointment_id IS NULL AND open"),
        postgresql_where=sa.text("appointment_id IS NULL AND open"),
    )
    op.create_index("ix_place_session", "place", ["hospital_id", "session_id"], unique=False)
    op.create_table(
        "appointment",
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("holds_place_id", sa.Uuid(), nullable=True),
        sa.Column("slot_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Uuid(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("visit_date", sa.Date(), nullable=False),
        sa.Column("starts_local", sa.Time(), nullable=False),
        sa.Column("ends_local", sa.Time(), nullable=False),
        sa.Column("zone", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sold", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("holder_account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("holder_seat", sa.Integer(), nullable=True),
        sa.Column("open_seat", sa.Integer(), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extensions", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("visit_code", sa.String(length=8), nullable=True),
        sa.Column("complaint", sa.Text(), nullable=True),
        sa.Column("remind", sa.Boolean(), nullable=False),
        sa.Column("source_answer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.String(length=8), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=False),
        sa.Column("cancelled_late", sa.Boolean(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arrived_late", sa.Boolean(), nullable=False),
        sa.Column("queue_number", sa.Integer(), nullable=True),
        sa.Column("external_system", sa.String(length=80), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(status = 'cancelled') = (cancelled_at IS NOT NULL)",
            name=op.f("ck_appointment_cancelled_says_when"),
        ),
        sa.CheckConstraint(
            "(status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit')) = (holds_place_id IS NOT NULL)",
            name=op.f("ck_appointment_active_holds_a_place"),
        ),
        sa.CheckConstraint(
            "NOT (status IN ('confirming', 'booked', 'arrived', 'in_visit')) OR patient_id IS NOT NULL",
            name=op.f("ck_appointment_booked_has_a_patient"),
        ),
        sa.CheckConstraint(
            "cancelled_by IN ('patient', 'hospital')", name=op.f("ck_appointment_cancelled_by")
        ),
        sa.CheckConstraint(
            "status <> 'held' OR (holder_account_id IS NULL) = (open_seat IS NOT NULL)",
            name=op.f("ck_appointment_open_hold_has_a_seat"),
        ),
        sa.CheckConstraint(
            "status <> 'held' OR held_until IS NOT NULL", name=op.f("ck_appointment_hold_has_an_end")
        ),
        sa.CheckConstraint(
            "status IN ('held', 'confirming', 'booked', 'arrived', 'in_visit', 'fulfilled', 'cancelled', 'expired', 'no_show', 'excused', 'entered_in_error')",
            name=op.f("ck_appointment_status"),
        ),
        sa.CheckConstraint(
            "holder_account_id IS NOT NULL OR holder_seat IS NULL OR holder_seat = 1",
            name=op.f("ck_appointment_one_hold_without_sign_in"),
        ),
        sa.CheckConstraint(
            "holder_seat IS NULL OR holder_seat BETWEEN 1 AND 2",
            name=op.f("ck_appointment_at_most_two_holds"),
        ),
        sa.CheckConstraint(
            "holds_place_id IS NULL OR holds_place_id = place_id",
            name=op.f("ck_appointment_holds_its_own_place"),
        ),
        sa.CheckConstraint(
            "patient_id IS NULL OR visit_code IS NOT NULL", name=op.f("ck_appointment_booked_has_a_code")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_account_books_only_for_linked_patients",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_appointment_account_id")),
        sa.ForeignKeyConstraint(
            ["holder_account_id"], ["account.id"], name=op.f("fk_appointment_holder_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "department_id"],
            ["department.hospital_id", "department.id"],
            name=op.f("fk_appointment_hospital_id_department_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "doctor_id"],
            ["doctor.hospital_id", "doctor.id"],
            name=op.f("fk_appointment_hospital_id_doctor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "holds_place_id", "id"],
            ["place.hospital_id", "place.id", "place.appointment_id"],
            name="fk_active_appointment_and_place_agree",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "patient_id"],
            ["chart.hospital_id", "chart.patient_id"],
            name=op.f("fk_appointment_hospital_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "place_id"],
            ["place.hospital_id", "place.id"],
            name=op.f("fk_appointment_hospital_id_place_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "policy_version"],
            ["policy.hospital_id", "policy.version"],
            name=op.f("fk_appointment_hospital_id_policy_version"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "session_id"],
            ["clinic_session.hospital_id", "clinic_session.id"],
            name=op.f("fk_appointment_hospital_id_session_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "slot_id"],
            ["slot.hospital_id", "slot.id"],
            name=op.f("fk_appointment_hospital_id_slot_id"),
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_appointment_patient_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_appointment")),
        sa.UniqueConstraint(
            "hospital_id",
            "external_system",
            "external_id",
            name=op.f("uq_appointment_hospital_id_external_system_external_id"),
        ),
        sa.UniqueConstraint(
            "hospital_id", "holds_place_id", "id", name=op.f("uq_appointment_hospital_id_holds_place_id_id")
        ),
        sa.UniqueConstraint("hospital_id", "holds_place_id", name="uq_one_active_appointment_per_place"),
        sa.UniqueConstraint(
            "hospital_id", "session_id", "queue_number", name="uq_one_queue_number_per_session"
        ),
        sa.UniqueConstraint("hospital_id", "visit_date", "visit_code", name="uq_one_visit_code_per_day"),
    )
    op.create_index("ix_appointment_account", "appointment", ["account_id", "starts_at"], unique=False)
    op.create_index("ix_appointment_code", "appointment", ["visit_code"], unique=False)
    op.create_index(
        "ix_appointment_live_hold",
        "appointment",
        ["hospital_id", "held_until"],
        unique=False,
        sqlite_where=sa.text("status = 'held'"),
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_index(
        "ix_appointment_patient", "appointment", ["hospital_id", "patient_id", "visit_date"], unique=False
    )
    op.create_index("ix_appointment_place", "appointment", ["hospital_id", "place_id"], unique=False)
    op.create_index("ix_appointment_session", "appointment", ["hospital_id", "session_id"], unique=False)
    op.create_index(
        "uq_one_active_appointment_per_patient_and_session",
        "appointment",
        ["hospital_id", "session_id", "patient_id"],
        unique=True,
        sqlite_where=sa.text("status IN ('confirming', 'booked', 'arrived', 'in_visit')"),
        postgresql_where=sa.text("status IN ('confirming', 'booked', 'arrived', 'in_visit')"),
    )
    op.create_index(
        "uq_one_hold_per_account_seat",
        "appointment",
        ["hospital_id", "holder_account_id", "holder_seat"],
        unique=True,
        sqlite_where=sa.text("status = 'held' AND holder_account_id IS NOT NULL"),
        postgresql_where=sa.text("status = 'held' AND holder_account_id IS NOT NULL"),
    )
    op.create_index(
        "uq_one_hold_per_holder_and_slot",
        "appointment",
        ["hospital_id", "holder", "slot_id"],
        unique=True,
        sqlite_where=sa.text("status = 'held'"),
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_index(
        "uq_one_hold_per_holder_seat",
        "appointment",
        ["hospital_id", "holder", "holder_seat"],
        unique=True,
        sqlite_where=sa.text("status = 'held'"),
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_index(
        "uq_one_open_hold_per_session_seat",
        "appointment",
        ["hospital_id", "session_id", "open_seat"],
        unique=True,
        sqlite_where=sa.text("status = 'held' AND open_seat IS NOT NULL"),
        postgresql_where=sa.text("status = 'held' AND open_seat IS NOT NULL"),
    )
    op.create_table(
        "appointment_event",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("from_status", sa.String(length=16), nullable=True),
        sa.Column("to_status", sa.String(length=16), nullable=False),
        sa.Column("actor_kind", sa.String(length=12), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id", "appointment_id"],
            ["appointment.hospital_id", "appointment.id"],
            name=op.f("fk_appointment_event_hospital_id_appointment_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_appointment_event")),
        sa.UniqueConstraint("hospital_id", "appointment_id", "version", name="uq_one_event_per_version"),
    )
    op.create_table(
        "request_key",
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id", "appointment_id"],
            ["appointment.hospital_id", "appointment.id"],
            name=op.f("fk_request_key_hospital_id_appointment_id"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("hospital_id", "key", name=op.f("pk_request_key")),
    )
    op.create_index("ix_request_key_created", "request_key", ["hospital_id", "created_at"], unique=False)

    # SQLite took it with the table: there a table may name a later one
    if op.get_bind().dialect.name != "sqlite":
        op.create_foreign_key(
            "fk_taken_place_and_appointment_agree",
            "place",
            "appointment",
            ["hospital_id", "id", "appointment_id"],
            ["hospital_id", "holds_place_id", "id"],
            initially="DEFERRED",
            deferrable=True,
        )


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("fk_taken_place_and_appointment_agree", "place", type_="foreignkey")
    op.drop_table("request_key")
    op.drop_table("appointment_event")
    op.drop_table("appointment")
    op.drop_table("place")
    op.drop_table("slot")
    op.drop_table("template")
    op.drop_table("clinic_session")
    op.drop_table("chart")
