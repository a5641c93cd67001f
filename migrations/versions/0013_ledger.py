"""The ledger of letters: receipts, replies, how providers do, calls to make, and who wants to be told how.

Safe while the previous release runs: it writes no channel it does not know, and every new column has a default. Nothing
here reads old rows: its locks are over at once. What does, and the indexes over old letters, is left to 0014.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)
BEFORE = "channel IN ('app', 'sms', 'email')"
AFTER = "channel IN ('app', 'sms', 'email', 'wechat', 'voice', 'webhook')"


def upgrade() -> None:
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    _channels(AFTER)
    op.create_table(
        "receipt",
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.String(length=120), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("said", sa.String(length=10), nullable=False),
        sa.Column("detail", sa.String(length=120), nullable=False),
        sa.Column("said_at", INSTANT, nullable=True),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("said IN ('delivered', 'failed', 'unknown')", name=op.f("ck_receipt_said")),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("hospital_id", "provider", "event_id", name="uq_one_receipt_per_event"),
    )
    op.create_index("ix_receipt_message", "receipt", ["hospital_id", "message_id"])
    op.create_table(
        "reply",
        sa.Column("id", BIG, nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.String(length=120), nullable=False),
        sa.Column("phone_hash", sa.String(length=64), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("did", sa.String(length=20), nullable=False),
        sa.Column("hospital_id", BIG, nullable=True),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        sa.UniqueConstraint("provider", "event_id", name="uq_one_reply_per_event"),
    )
    op.create_index("ix_reply_phone", "reply", ["phone_hash", "received_at"])
    op.create_table(
        "provider_state",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rests_until", INSTANT, nullable=True),
        sa.Column("tokens", sa.Float(), server_default="0", nullable=False),
        sa.Column("tokens_at", INSTANT, nullable=True),
        sa.Column("last_ok_at", INSTANT, nullable=True),
        sa.Column("last_failure_at", INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider_state")),
    )
    op.create_table(
        "phone_call",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=12), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.Column("done_by", sa.String(length=40), server_default="", nullable=False),
        sa.Column("outcome", sa.String(length=12), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("hospital_id", BIG, autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("reason IN ('failed', 'no_receipt')", name=op.f("ck_phone_call_reason")),
        sa.CheckConstraint(
            "outcome IN ('', 'reached', 'no_answer', 'wrong_number', 'not_needed')",
            name=op.f("ck_phone_call_outcome"),
        ),
        sa.PrimaryKeyConstraint("hospital_id", "id", name=op.f("pk_phone_call")),
    )
    op.create_index(
        "uq_one_open_call_per_appointment",
        "phone_call",
        ["hospital_id", "appointment_id"],
        unique=True,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )


def downgrade() -> None:
    for table in ("phone_call", "provider_state", "reply", "receipt"):
        op.drop_table(table)
    op.execute("DELETE FROM message WHERE channel IN ('wechat', 'voice', 'webhook')")
    _channels(BEFORE)
    for table, columns in reversed(_columns().items()):
        for column in reversed(columns):
            op.drop_column(table, column.name)


def _channels(allowed: str) -> None:
    """Replace the list of channels; on PostgreSQL 0014 looks at old rows, when nobody waits for this one's locks."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("message") as table:
            table.drop_constraint(op.f("ck_message_channel"), type_="check")
            table.create_check_constraint(op.f("ck_message_channel"), allowed)
        return
    op.drop_constraint(op.f("ck_message_channel"), "message")
    op.execute(f"ALTER TABLE message ADD CONSTRAINT ck_message_channel CHECK ({allowed}) NOT VALID")


def _columns() -> dict[str, tuple[sa.Column, ...]]:
    return {
        "message": (
            sa.Column("provider", sa.String(length=20), server_default="", nullable=False),
            sa.Column("ambiguous", sa.Integer(), server_default="0", nullable=False),
            sa.Column("segments", sa.Integer(), server_default="0", nullable=False),
            sa.Column("to_hash", sa.String(length=64), nullable=True),
            sa.Column("merged_into", sa.Uuid(), nullable=True),
            sa.Column("delivered_at", INSTANT, nullable=True),
            sa.Column("repaired", sa.Boolean(), server_default=sa.false(), nullable=False),
        ),
        "account": (
            sa.Column("language", sa.String(length=10), nullable=True),
            sa.Column("email_verified_at", INSTANT, nullable=True),
            sa.Column("wechat_openid", sa.Text(), nullable=True),
            sa.Column("quiet_channels", sa.Text(), server_default="[]", nullable=False),
        ),
        "policy": (
            sa.Column("prepare_time", sa.Time(), server_default="18:00:00", nullable=False),
            sa.Column("voice_after_minutes", sa.Integer(), server_default="10", nullable=False),
            sa.Column("call_after_minutes", sa.Integer(), server_default="20", nullable=False),
        ),
        "hospital": (
            sa.Column("webhook_url", sa.String(length=300), nullable=True),
            sa.Column("webhook_secret", sa.Text(), nullable=True),
        ),
        "clinic_kind": (sa.Column("preparation", sa.Text(), server_default="", nullable=False),),
        "appointment": (sa.Column("coming_at", INSTANT, nullable=True),),
    }
