"""Learners and their sign-ins, in and out."""

from __future__ import annotations

from marshmallow import fields

from api.schemas.base import In, Out, Text


class JoinedOut(Out):
    """A fresh sign-in. The recovery code is shown this once: it is the only key to the account."""

    learner = fields.String(metadata={"example": "j7q2m4c6xk3tq5z2w4y6r8n2pa"})
    account = fields.String(metadata={"example": "learner:j7q2m4c6xk3tq5z2w4y6r8n2pa"})
    token = fields.String(metadata={"description": "For `Authorization: Bearer`."})
    recovery_code = fields.String(metadata={"example": "7K3M-Q2XD-9HTR-4WZC"})


class RecoverIn(In):
    """The recovery code as it is typed: case, spaces and hyphens do not matter."""

    recovery_code = Text(required=True, longest=64, metadata={"example": "7K3M-Q2XD-9HTR-4WZC"})


class SecuredOut(Out):
    """That the learner keeps the recovery code."""

    secured = fields.Constant(True, metadata={"type": "boolean"})
