"""Find the letters that did not arrive, and those the reconciler put, without reading all others.

Safe while the previous release runs: it only gains indexes, and letters that go well are in neither of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

FAILED = sa.text("status IN ('failed', 'expired', 'suppressed')")
REPAIRED = sa.text("repaired")


def upgrade() -> None:
    op.create_index(
        "ix_message_failed",
        "message",
        ["hospital_id", "next_at"],
        sqlite_where=FAILED,
        postgresql_where=FAILED,
    )
    op.create_index(
        "ix_message_repaired", "message", ["hospital_id"], sqlite_where=REPAIRED, postgresql_where=REPAIRED
    )


def downgrade() -> None:
    op.drop_index(
        "ix_message_repaired", table_name="message", sqlite_where=REPAIRED, postgresql_where=REPAIRED
    )
    op.drop_index("ix_message_failed", table_name="message", sqlite_where=FAILED, postgresql_where=FAILED)
