"""Limits per week and account, whom a session is for, referrals, no-shows with appeals and desk tickets.

Safe while the previous release runs: new columns are empty or have a default, new tables it does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NUMBERS = {
    "per_week": "6",
    "open_per_account": "10",
    "no_show_block_max_days": "120",
    "no_show_after_minutes": "60",
}
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name, default in NUMBERS.items():
        op.add_column("policy", sa.Column(name, sa.Integer(), nullable=False, server_default=default))
    op.add_column("template", sa.Column("admits", sa.Text(), nullable=True))
    op.add_column("clinic_session", sa.Column("admits", sa.Text(), nullable=True))
    op.add_column("appointment", sa.Column("referral", sa.Text(), nullable=True))
    op.create_table(
        "desk_ticket",
        sa.Column("patient_id", BIG, nullable=False),
        sa.Column("visit_date", sa.Date(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id", "patient_id"],
            ["chart.hospital_id", "chart.patient_id"],
            name=op.f("fk_desk_ticket_hospital_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "department_id"],
            ["department.hospital_id", "department.id"],
            name=op.f("fk_desk_ticket_hospital_id_department_id"),
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_desk_ticket_patient_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_desk_ticket")),
    )
    op.create_index(
        "ix_desk_ticket_patient", "desk_ticket", ["hospital_id", "patient_id", "visit_date"], unique=False
    )
    op.create_table(
        "appeal",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=60), nullable=False),
        sa.Column("answer", sa.String(length=200), nullable=False),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'accepted', 'declined', 'cleared')", name=op.f("ck_appeal_status")
        ),
        sa.CheckConstraint(
            "(status = 'open') = (decided_at IS NULL)", name=op.f("ck_appeal_decided_says_when")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "appointment_id"],
            ["appointment.hospital_id", "appointment.id"],
            name=op.f("fk_appeal_hospital_id_appointment_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_appeal")),
        sa.UniqueConstraint("hospital_id", "appointment_id", name="uq_one_appeal_per_appointment"),
    )
    op.create_index(
        "ix_appeal_open",
        "appeal",
        ["hospital_id", "made_at"],
        unique=False,
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )


def downgrade() -> None:
    op.drop_table("appeal")
    op.drop_table("desk_ticket")
    op.drop_column("appointment", "referral")
    op.drop_column("clinic_session", "admits")
    op.drop_column("template", "admits")
    for name in reversed(NUMBERS):
        op.drop_column("policy", name)
