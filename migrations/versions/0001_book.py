"""The book: cities, accounts, the append-only journal and its projections."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("entries", "legs", "openings", "tiles", "checkpoints")
HOT = {"heads": 10, "accounts": 50, "cases": 70}
"""Tables whose rows change often, with the share of a page (%) to fill, so that new versions stay on the page."""

_SQLITE_TRIGGER = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""

_POSTGRESQL_FUNCTION = """
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
"""

_POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION append_only()",
    "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION append_only()",
)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("path", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("posted - held >= 0 OR path = 'issuance'", name="accounts_floor"),
        sa.CheckConstraint("held >= 0", name="accounts_held"),
        sa.PrimaryKeyConstraint("city", "path"),
    )
    op.create_table(
        "blinding_keys",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("city", "account"),
    )
    op.create_table(
        "cases",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("moved_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("reversed_by", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("moved_minor <= amount_minor", name="cases_moved"),
        sa.CheckConstraint("refunded_minor >= 0 AND refunded_minor <= moved_minor", name="cases_refunded"),
        sa.CheckConstraint("reversed_by IS NULL OR refunded_minor = 0", name="cases_reversed"),
        sa.PrimaryKeyConstraint("city", "seq"),
    )
    op.create_index("cases_due", "cases", ["city", "state", "expires_at"], unique=False)
    op.create_table(
        "checkpoints",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("city", "size"),
    )
    op.create_table(
        "cities",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name_th", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("code_prefix", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code_prefix"),
        sa.UniqueConstraint("origin"),
    )
    op.create_table(
        "entries",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=True),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("city", "seq"),
        sa.UniqueConstraint("city", "id", name="entries_id"),
    )
    op.create_index("entries_by_case", "entries", ["city", "origin", "seq"], unique=False)
    op.create_index("entries_by_time", "entries", ["city", "at", "seq"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "key"),
    )
    op.create_table(
        "legs",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.SmallInteger(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("posted_change", sa.BigInteger(), nullable=False),
        sa.Column("held_change", sa.BigInteger(), nullable=False),
        sa.Column("posted_after", sa.BigInteger(), nullable=False),
        sa.Column("held_after", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "account", "version"),
    )
    op.create_index("legs_by_account_seq", "legs", ["city", "account", "seq"], unique=False)
    op.create_index("legs_by_seq", "legs", ["city", "seq"], unique=False)
    op.create_table(
        "openings",
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.SmallInteger(), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("posted_change", sa.BigInteger(), nullable=False),
        sa.Column("held_change", sa.BigInteger(), nullable=False),
        sa.Column("posted_after", sa.BigInteger(), nullable=False),
        sa.Column("held_after", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("city", "account", "version"),
    )
    op.create_index("openings_by_account_seq", "openings", ["city", "account", "seq"], unique=False)
    op.create_index("openings_by_seq", "openings", ["city", "seq"], unique=False)
    op.create_table(
        "tiles",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("city", "level", "index"),
    )
    op.create_table(
        "heads",
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("size >= 0", name="heads_size"),
        sa.ForeignKeyConstraint(
            ["city"],
            ["cities.id"],
        ),
        sa.PrimaryKeyConstraint("city"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_POSTGRESQL_FUNCTION)
        for table in APPEND_ONLY:
            for trigger in _POSTGRESQL_TRIGGERS:
                op.execute(trigger.format(table=table))
        for table, share in HOT.items():
            op.execute(f"ALTER TABLE {table} SET (fillfactor = {share})")
    else:
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(_SQLITE_TRIGGER.format(table=table, verb=verb))


def downgrade() -> None:
    op.drop_table("heads")
    op.drop_table("tiles")
    op.drop_index("openings_by_seq", table_name="openings")
    op.drop_index("openings_by_account_seq", table_name="openings")
    op.drop_table("openings")
    op.drop_index("legs_by_seq", table_name="legs")
    op.drop_index("legs_by_account_seq", table_name="legs")
    op.drop_table("legs")
    op.drop_table("idempotency")
    op.drop_index("entries_by_time", table_name="entries")
    op.drop_index("entries_by_case", table_name="entries")
    op.drop_table("entries")
    op.drop_table("cities")
    op.drop_table("checkpoints")
    op.drop_index("cases_due", table_name="cases")
    op.drop_table("cases")
    op.drop_table("blinding_keys")
    op.drop_table("accounts")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION append_only()")
