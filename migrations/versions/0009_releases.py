"""Waves of a release, sale by draw, the draws with their entries.

Safe while the previous release runs: new columns are empty or have a default, new tables it does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AHEAD = sa.text("status IN ('waiting', 'drawing')")
STANDING = sa.text("status <> 'off'")
CHECKS = {
    "ck_clinic_session_sale": "sale IN ('first_come', 'draw')",
    "ck_clinic_session_draw_has_a_window": (
        "sale <> 'draw' OR (entries_from IS NOT NULL AND entries_from < release_at)"
    ),
}


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("policy", sa.Column("release_waves", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("place", sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("clinic_session", sa.Column("release_waves", sa.Text(), nullable=True))
    op.add_column("clinic_session", sa.Column("entries_from", sa.DateTime(timezone=True), nullable=True))
    op.add_column("clinic_session", sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=True))
    if (
        sqlite
    ):  # it can only add a check together with a column, and copying the table would lose the other checks
        checks = " ".join(f"CONSTRAINT {name} CHECK ({said})" for name, said in CHECKS.items())
        op.execute(
            f"ALTER TABLE clinic_session ADD COLUMN sale VARCHAR(10) DEFAULT 'first_come' NOT NULL {checks}"
        )
    else:
        op.add_column(
            "clinic_session",
            sa.Column("sale", sa.String(length=10), nullable=False, server_default="first_come"),
        )
        for name, said in CHECKS.items():
            op.create_check_constraint(op.f(name), "clinic_session", said)
    op.create_table(
        "draw",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("capacity", sa.Text(), nullable=False),
        sa.Column("list_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("status IN ('waiting', 'drawing', 'drawn', 'off')", name=op.f("ck_draw_status")),
        sa.CheckConstraint(
            "(status = 'drawn') = (drawn_at IS NOT NULL)", name=op.f("ck_draw_drawn_says_when")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "session_id"],
            ["clinic_session.hospital_id", "clinic_session.id"],
            name=op.f("fk_draw_hospital_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_draw")),
        sa.UniqueConstraint("hospital_id", "id", "commitment", name="uq_draw_commitment"),
    )
    op.create_index(
        "uq_one_draw_per_session",
        "draw",
        ["hospital_id", "session_id"],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )
    op.create_index(
        "ix_draw_ahead", "draw", ["hospital_id", "session_id"], sqlite_where=AHEAD, postgresql_where=AHEAD
    )
    op.create_table(
        "draw_entry",
        sa.Column("draw_id", sa.Uuid(), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("patient_id", BIG, nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=24), nullable=False),
        sa.Column("wishes", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=False),
        sa.Column("slot_id", sa.Uuid(), nullable=True),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "status IN ('entered', 'withdrawn', 'won', 'lost')", name=op.f("ck_draw_entry_status")
        ),
        sa.CheckConstraint(
            "(status = 'won') = (appointment_id IS NOT NULL)", name=op.f("ck_draw_entry_winner_has_a_visit")
        ),
        sa.CheckConstraint(
            "status NOT IN ('won', 'lost') OR rank IS NOT NULL", name=op.f("ck_draw_entry_result_has_a_rank")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "draw_id", "commitment"],
            ["draw.hospital_id", "draw.id", "draw.commitment"],
            name="fk_entry_keeps_its_commitment",
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "patient_id"],
            ["chart.hospital_id", "chart.patient_id"],
            name=op.f("fk_draw_entry_hospital_id_patient_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "patient_id"],
            ["patient_link.account_id", "patient_link.patient_id"],
            name="fk_account_enters_only_linked_patients",
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "appointment_id"],
            ["appointment.hospital_id", "appointment.id"],
            name=op.f("fk_draw_entry_hospital_id_appointment_id"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_draw_entry_account_id")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_draw_entry")),
        sa.UniqueConstraint("hospital_id", "draw_id", "patient_id", name="uq_one_entry_per_patient"),
        sa.UniqueConstraint("hospital_id", "draw_id", "person", name="uq_one_entry_per_person"),
        sa.UniqueConstraint("hospital_id", "draw_id", "token", name="uq_one_entry_per_token"),
        sa.UniqueConstraint("hospital_id", "appointment_id", name="uq_one_entry_per_appointment"),
    )
    op.create_index("ix_draw_entry_account", "draw_entry", ["account_id"])


def downgrade() -> None:
    op.drop_table("draw_entry")
    op.drop_table("draw")
    if op.get_bind().dialect.name != "sqlite":
        for name in reversed(CHECKS):
            op.drop_constraint(op.f(name), "clinic_session")
    for name in ("sale", "drawn_at", "entries_from", "release_waves"):
        op.drop_column("clinic_session", name)
    op.drop_column("place", "opens_at")
    op.drop_column("policy", "release_waves")
