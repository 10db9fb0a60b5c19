"""The nodes of tiles that are not full yet, where the hash that completes them stands, and the middles of full ones.

A proof read the first hash by hash, up to 255 of each level, and made the second of all the 256 hashes of their tile.
Rows from before have none, and are read so still.

Applies to a database that is being served: three columns that nobody has to fill, and an index of one short row for
each 256 entries in the place of another.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = (("tiles", "nodes"), ("tiles", "middle"), ("checkpoints", "nodes"))


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.LargeBinary(), nullable=True))
    op.create_index("tiles_nodes", "tiles", ["city", "level", "index", "root", "nodes"])
    op.drop_index("tiles_roots", table_name="tiles")


def downgrade() -> None:
    op.create_index("tiles_roots", "tiles", ["city", "level", "index", "root"])
    op.drop_index("tiles_nodes", table_name="tiles")
    for table, column in COLUMNS:
        op.drop_column(table, column)
