"""Airdrops and their rows, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from api.schemas.base import COUNT_MESSAGE, TEXT_MESSAGE, Flag, In, Instant, Money, Text, Whole, amount, items_of
from api.schemas.money import page_limit
from ledger.programme.airdrop_files import MAX_BYTES, MAX_ROWS, NAME_LENGTH
from ledger.programme.airdrop_verdicts import STATES, VERDICTS
from ledger.programme.airdrops import NewAirdrop


class Sheet(Text):
    """The text of a CSV file as it is; what stands in its cells is judged row by row."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(TEXT_MESSAGE)
        if len(value) > self.longest:
            raise ValidationError(f"Give at most {MAX_BYTES} bytes; split the list.")
        return value


class AirdropIn(In):
    """A list to reward by: its columns are `learner`, `amount` (decimal) and, if you like, `note`."""

    activity = Text(required=True, longest=40, metadata={"description": "Its budget pays."})
    csv = Sheet(
        required=True,
        longest=MAX_BYTES,
        metadata={
            "description": f"Separated by commas, semicolons or tabs; at most {MAX_ROWS} rows.",
            "example": "learner,amount,note\nabcdefghijklmnopqrstuvwxyz,12.50,reading week\n",
        },
    )
    file_name = Text(longest=NAME_LENGTH, load_default="")

    def build(self, data: dict[str, Any]) -> NewAirdrop:
        """The list; halves of characters become bytes that are no UTF-8, and are refused as such."""
        return NewAirdrop(data["activity"], data["csv"].encode("utf-8", "surrogatepass"), data["file_name"])


class AirdropConfirmIn(In):
    """What the preview showed, so that nothing else is paid."""

    sum_minor = amount(required=True, metadata={"description": "`sum_minor` of the preview."})


class AirdropOut(Money):
    """An airdrop as it stands."""

    id = fields.String()
    activity = fields.String()
    state = fields.String(metadata={"enum": list(STATES)})
    file_name = fields.String()
    file_sha256 = fields.String(attribute="file_hash")
    created_at = Instant()
    confirmed_at = Instant(allow_none=True)
    ended_at = Instant(allow_none=True)
    rows = fields.Integer(metadata={"description": "Rows of the list."})
    accepted_rows = fields.Integer(attribute="accepted", metadata={"description": "Of these, `ok` in the preview."})
    waiting_rows = fields.Integer(attribute="waiting", metadata={"description": "Accepted and not yet settled."})
    paid_rows = fields.Integer(attribute="paid")
    refused_rows = fields.Integer(attribute="refused")
    verdicts = fields.Dict(attribute="counts", metadata={"description": "Rows by verdict."})
    sum_minor = fields.Integer(metadata={"description": "What the preview accepted, in all.", "example": 12500})
    paid_minor = fields.Integer()
    left_minor = fields.Integer(metadata={"description": "What is still to be paid."})
    budget_minor = fields.Integer(metadata={"description": "What the activity's budget holds now."})
    budget_after_minor = fields.Integer(metadata={"description": "What it would hold if all that is left were paid."})
    earlier = fields.String(
        allow_none=True, metadata={"description": "An airdrop of the same file that was confirmed before, if any."}
    )


class AirdropRowsQuery(In):
    """Which rows."""

    cursor = Whole(
        query=True, message=COUNT_MESSAGE, load_default=0, metadata={"description": "`next` of the page before."}
    )
    limit = page_limit("Rows")
    refused = Flag(load_default=False, metadata={"description": "Only the rows that were refused."})


class AirdropRowOut(Money):
    """A row of the list with its verdict so far."""

    line = fields.Integer(metadata={"description": "The line of the file; the header is 1."})
    learner = fields.String(metadata={"description": "A learner's id, or what stood there instead."})
    given = fields.String(metadata={"description": "The amount as it stands in the file.", "example": "12.50"})
    amount_minor = fields.Integer(allow_none=True)
    note = fields.String()
    verdict = fields.String(metadata={"enum": list(VERDICTS)})
    entry = fields.Integer(allow_none=True, metadata={"description": "The seq of the entry that paid it."})


ROWS = items_of(AirdropRowOut, "AirdropRows")
