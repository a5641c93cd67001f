"""Find letters by what became of them, when, to whom and what is due on a channel; take old rows over.

Safe while the previous release runs, and while people book: on PostgreSQL every statement is a transaction of its own,
indexes are built beside writers, and accounts are taken over a few at a time. One that was cut off is simply run again.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

AT_ONCE = 5000
INDEXES: dict[str, tuple[tuple[str, ...], str]] = {
    "ix_message_to": (("hospital_id", "to_hash", "sent_at"), ""),
    "ix_message_sent": (("hospital_id", "sent_at"), ""),
    "ix_message_failed": (("hospital_id", "next_at"), "status IN ('failed', 'expired', 'suppressed')"),
    "ix_message_repaired": (("hospital_id",), "repaired"),
    "ix_message_channel_due": (("hospital_id", "channel", "next_at"), "status IN ('waiting', 'sending')"),
}


def upgrade() -> None:
    with _one_by_one():
        if _on_postgresql():
            op.execute("ALTER TABLE message VALIDATE CONSTRAINT ck_message_channel")
        _keep_addresses()
        for name, (columns, where) in INDEXES.items():
            _drop(name)
            condition = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)} if where else {}
            op.create_index(name, "message", list(columns), postgresql_concurrently=True, **condition)


def downgrade() -> None:
    with _one_by_one():
        for name in reversed(INDEXES):
            _drop(name)


def _keep_addresses() -> None:
    """An address that letters went to until now goes on being one; the previous release knows no other proof."""
    bind, last = op.get_bind(), sa.text("SELECT coalesce(max(id), 0) FROM account")
    for after in range(0, int(bind.execute(last).scalar_one()), AT_ONCE):
        bind.execute(
            sa.text(
                "UPDATE account SET email_verified_at = created_at"
                " WHERE id > :after AND id <= :to AND email IS NOT NULL AND email_verified_at IS NULL"
            ),
            {"after": after, "to": after + AT_ONCE},
        )


def _drop(name: str) -> None:
    """An index whose building was cut off is there, but not to be used."""
    op.drop_index(name, table_name="message", if_exists=True, postgresql_concurrently=True)


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _one_by_one() -> AbstractContextManager[Any]:
    return op.get_context().autocommit_block() if _on_postgresql() else nullcontext()
