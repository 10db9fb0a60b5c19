"""The roots of tiles in an index of their own, beside one another.

A tile that is not full yet is read root by root out of the rows below it, each of which has 8 KiB of hashes before its
root: on SQLite that are three pages a root, up to 255 times.

Applies to a database that is being served: it makes an index of one short row for each 256 entries.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("tiles_roots", "tiles", ["city", "level", "index", "root"])


def downgrade() -> None:
    op.drop_index("tiles_roots", table_name="tiles")
