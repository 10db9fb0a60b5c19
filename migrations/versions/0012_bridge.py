"""The bridge to a chain: bridges, withdrawals, lists of claims, payments, tickets and deposits, wallets and badges.

Applies to a database that is being served: it makes new tables and touches none that is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = (
    "badges",
    "badge_offers",
    "wallet_challenges",
    "wallets",
    "deposits",
    "deposit_tickets",
    "claims_paid",
    "claim_lists",
    "withdrawals",
    "bridges",
)


def _text(name: str, **options: bool) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=options.get("nullable", False))


def _number(name: str, **options: bool) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=options.get("nullable", False))


def upgrade() -> None:
    op.create_table(
        "bridges",
        _text("city"),
        _number("chain_id"),
        _text("contract"),
        *(_number(name) for name in ("supply_cap_minor", "increase_limit_minor", "block", "deposits")),
        *(_number(name) for name in ("deposited_minor", "claimed_minor", "proposals")),
        _number("paused_at", nullable=True),
        _text("pause_reason", nullable=True),
        _number("checked_at", nullable=True),
        sa.PrimaryKeyConstraint("city", "chain_id"),
        sa.CheckConstraint("chain_id > 0", name="bridges_chain"),
        sa.CheckConstraint("(paused_at IS NULL) = (pause_reason IS NULL)", name="bridges_pause"),
    )
    op.create_table(
        "withdrawals",
        _text("city"),
        _number("chain_id"),
        _number("seq"),
        _text("entry_id"),
        _text("learner", nullable=True),
        _text("wallet"),
        _number("amount_minor"),
        _number("requested_at"),
        _number("cancelled_by", nullable=True),
        sa.PrimaryKeyConstraint("city", "chain_id", "seq"),
        sa.CheckConstraint("amount_minor > 0", name="withdrawals_amount"),
        sa.CheckConstraint("cancelled_by IS NULL OR cancelled_by > seq", name="withdrawals_cancelled"),
    )
    op.create_index("withdrawals_by_wallet", "withdrawals", ["city", "chain_id", "wallet", "seq"])
    op.create_index("withdrawals_by_learner", "withdrawals", ["city", "learner", "seq"])
    op.create_table(
        "claim_lists",
        _text("city"),
        *(_number(name) for name in ("chain_id", "seq", "size", "total_minor")),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        _text("hash"),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        _text("state"),
        _number("proposal", nullable=True),
        _number("active_at", nullable=True),
        _number("made_at"),
        sa.PrimaryKeyConstraint("city", "chain_id", "seq"),
        sa.CheckConstraint(
            "state IN ('committed', 'proposed', 'active', 'vetoed', 'failed')", name="claim_lists_state"
        ),
        sa.CheckConstraint("size <= seq", name="claim_lists_size"),
    )
    op.create_index("claim_lists_hash", "claim_lists", ["city", "hash"])
    op.create_table(
        "claims_paid",
        _text("city"),
        _number("chain_id"),
        _text("wallet"),
        _number("cumulative_minor"),
        _text("transaction"),
        sa.PrimaryKeyConstraint("city", "chain_id", "wallet"),
        sa.CheckConstraint("cumulative_minor > 0", name="claims_paid_cumulative"),
    )
    _incoming()
    _wallets()


def _incoming() -> None:
    op.create_table(
        "deposit_tickets",
        _text("city"),
        _number("chain_id"),
        _text("ticket"),
        _text("learner"),
        _text("wallet"),
        _number("created_at"),
        _number("expires_at"),
        _number("used_by", nullable=True),
        sa.PrimaryKeyConstraint("city", "chain_id", "ticket"),
        sa.CheckConstraint("expires_at > created_at", name="deposit_tickets_lifetime"),
    )
    op.create_index("deposit_tickets_by_learner", "deposit_tickets", ["city", "learner", "created_at"])
    op.create_table(
        "deposits",
        _text("city"),
        _number("chain_id"),
        _number("number"),
        _text("wallet"),
        _text("ticket"),
        _number("amount_minor"),
        _text("transaction"),
        _number("block"),
        _text("outcome"),
        _number("seq"),
        _number("resolved_by", nullable=True),
        sa.PrimaryKeyConstraint("city", "chain_id", "number"),
        sa.CheckConstraint("amount_minor > 0", name="deposits_amount"),
        sa.CheckConstraint("outcome IN ('credited', 'unknown', 'used', 'expired', 'sender')", name="deposits_outcome"),
    )
    op.create_index("deposits_by_ticket", "deposits", ["city", "chain_id", "ticket"])


def _wallets() -> None:
    op.create_table(
        "wallets",
        _text("city"),
        _text("learner"),
        _text("address"),
        _number("linked_at"),
        sa.PrimaryKeyConstraint("city", "learner"),
    )
    op.create_table(
        "wallet_challenges",
        _text("city"),
        _text("nonce"),
        _text("learner"),
        _text("address"),
        _text("message"),
        _number("created_at"),
        _number("expires_at"),
        _number("used_at", nullable=True),
        sa.PrimaryKeyConstraint("city", "nonce"),
        sa.CheckConstraint("expires_at > created_at", name="wallet_challenges_lifetime"),
    )
    op.create_index("wallet_challenges_by_learner", "wallet_challenges", ["city", "learner", "created_at"])
    op.create_table(
        "badge_offers",
        _text("city"),
        _text("activity"),
        _number("offered_at"),
        sa.PrimaryKeyConstraint("city", "activity"),
    )
    op.create_table(
        "badges",
        _text("city"),
        _number("seq"),
        _text("activity"),
        _text("learner", nullable=True),
        _text("wallet"),
        _number("awarded_at"),
        sa.PrimaryKeyConstraint("city", "seq"),
        sa.UniqueConstraint("city", "activity", "learner", name="badges_once"),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
