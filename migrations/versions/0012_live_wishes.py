"""The wishes that live, without reading those of a year that were served or ended.

Safe while the previous release runs: it only gains an index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

LIVE = sa.text("status IN ('waiting', 'offered')")


def upgrade() -> None:
    op.create_index(
        "ix_wish_live", "wish", ["hospital_id", "last_date"], sqlite_where=LIVE, postgresql_where=LIVE
    )


def downgrade() -> None:
    op.drop_index("ix_wish_live", table_name="wish", sqlite_where=LIVE, postgresql_where=LIVE)
