"""The nodes of tiles that are not full yet, where the hash that completes them stands.

A proof read them hash by hash, up to 255 of each level. Rows from before have none, and are read so still.

Applies to a database that is being served: two columns that nobody has to fill, and an index of one short row for each
256 entries in the place of another.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("tiles", "checkpoints"):
        op.add_column(table, sa.Column("nodes", sa.LargeBinary(), nullable=True))
    op.create_index("tiles_nodes", "tiles", ["city", "level", "index", "root", "nodes"])
    op.drop_index("tiles_roots", table_name="tiles")


def downgrade() -> None:
    op.create_index("tiles_roots", "tiles", ["city", "level", "index", "root"])
    op.drop_index("tiles_nodes", table_name="tiles")
    for table in ("checkpoints", "tiles"):
        op.drop_column(table, "nodes")
