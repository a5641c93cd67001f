"""A doctor's sessions that have not ended, without reading two years of those that have.

Safe while the previous release runs: it only gains an index.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index("ix_clinic_session_coming", "clinic_session", ["hospital_id", "doctor_id", "ends_at"])


def downgrade() -> None:
    op.drop_index("ix_clinic_session_coming", table_name="clinic_session")
