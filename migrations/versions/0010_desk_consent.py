"""Consents that patients give to staff, at the desk or on the telephone.

Safe while the previous release runs: a table it does not know.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "desk_consent",
        sa.Column("patient_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("wording", sa.String(length=20), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(length=40), nullable=False),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('id_number', 'health_data', 'guardian')", name=op.f("ck_desk_consent_kind")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id", "patient_id"],
            ["chart.hospital_id", "chart.patient_id"],
            name=op.f("fk_desk_consent_hospital_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_desk_consent")),
    )
    op.create_index("ix_desk_consent_patient", "desk_consent", ["hospital_id", "patient_id"])


def downgrade() -> None:
    op.drop_table("desk_consent")
