"""The bridge to a chain, in and out."""

from __future__ import annotations

from marshmallow import fields

from api.schemas.base import In, Instant, Money, Out, amount
from ledger.chain.withdrawals import STATES


class WithdrawalIn(In):
    """How much to take to the linked wallet, which is public."""

    amount_minor = amount(required=True)


class WithdrawalOut(Money):
    """A withdrawal and how far it is."""

    seq = fields.Integer(metadata={"description": "The seq of its entry, by which it is named."})
    chain_id = fields.Integer(metadata={"example": 11_155_111})
    wallet = fields.String(metadata={"example": "0x" + "ab" * 20})
    amount_minor = fields.Integer(metadata={"example": 500})
    requested_at = Instant()
    state = fields.String(metadata={"enum": list(STATES)})
    can_cancel = fields.Boolean()
    active_at = Instant(allow_none=True, metadata={"description": "From when it can be claimed, once that is known."})
    transaction = fields.String(allow_none=True)


class TicketOut(Out):
    """A ticket for one deposit from the linked wallet: the `ref` of the contract's `deposit`."""

    ticket = fields.String(metadata={"example": "0x" + "ab" * 32})
    chain_id = fields.Integer(metadata={"example": 11_155_111})
    contract = fields.String(metadata={"example": "0x" + "ab" * 20})
    wallet = fields.String(metadata={"description": "Where it must be sent from."})
    expires_at = Instant()
