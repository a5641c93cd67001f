"""Channels of places with their roll-over, and places added to a full session (加号).

Safe while the previous release runs: new columns are empty or have a default, and every place it writes is a web place.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

STANDING_EXTRA = sa.text("extra_number IS NOT NULL AND NOT withdrawn")


def upgrade() -> None:
    for table in ("policy", "template", "clinic_session"):
        op.add_column(table, sa.Column("channels", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("policy", sa.Column("roll_days_before", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("policy", sa.Column("roll_time", sa.Time(), nullable=True, server_default="17:00:00"))
    op.add_column("policy", sa.Column("extra_cap", sa.Integer(), nullable=False, server_default="5"))
    op.add_column("clinic_session", sa.Column("rolls_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("place", sa.Column("rolls_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("place", sa.Column("extra_number", sa.Integer(), nullable=True))
    op.create_index(
        "uq_one_extra_place_per_number",
        "place",
        ["hospital_id", "session_id", "extra_number"],
        unique=True,
        sqlite_where=STANDING_EXTRA,
        postgresql_where=STANDING_EXTRA,
    )
    op.add_column("appointment", sa.Column("channel", sa.String(length=10), nullable=True))
    op.create_table(
        "extra_grant",
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("owner_kind", sa.String(length=6), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("owner_name", sa.String(length=60), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.String(length=40), nullable=False),
        sa.Column(
            "hospital_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("owner_kind IN ('doctor', 'staff')", name=op.f("ck_extra_grant_owner_kind")),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_extra_grant_says_why")),
        sa.ForeignKeyConstraint(
            ["hospital_id", "place_id"],
            ["place.hospital_id", "place.id"],
            name=op.f("fk_extra_grant_hospital_id_place_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "session_id"],
            ["clinic_session.hospital_id", "clinic_session.id"],
            name=op.f("fk_extra_grant_hospital_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_extra_grant")),
        sa.UniqueConstraint("hospital_id", "place_id", name="uq_one_grant_per_extra_place"),
    )
    op.create_index("ix_extra_grant_session", "extra_grant", ["hospital_id", "session_id"])


def downgrade() -> None:
    op.drop_table("extra_grant")
    op.drop_column("appointment", "channel")
    op.drop_index("uq_one_extra_place_per_number", table_name="place")
    for column in ("extra_number", "rolls_at"):
        op.drop_column("place", column)
    op.drop_column("clinic_session", "rolls_at")
    for column in ("extra_cap", "roll_time", "roll_days_before"):
        op.drop_column("policy", column)
    for table in ("clinic_session", "template", "policy"):
        op.drop_column(table, "channels")
