"""Who may do what: eight roles, one table of permissions, one function that says no.

A principal is whoever a request comes from: the roles of the token it carries and, for learner, shop and kiosk,
the one *subject* that the token is bound to (a learner id, a shop id, an activity id). A bound role is held alone,
so that a subject never has two meanings; the roles of the city's staff may be held together.

A permission that a bound role grants reaches that subject only: `require(principal, permission, subject)`
compares. Staff roles reach the whole city. Every route declares one permission of `PERMISSIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Forbidden, Unauthenticated, ValidationFailed

LEARNER, SHOP, KIOSK = "learner", "shop", "kiosk"
STEWARD, TREASURER, AUDITOR = "steward", "treasurer", "auditor"
OPERATOR, INTEGRATOR = "operator", "integrator"

PUBLIC = "public"
"""Stands in `PERMISSIONS` for everybody, signed in or not."""

BOUND = frozenset({LEARNER, SHOP, KIOSK})
STAFF = (STEWARD, TREASURER, OPERATOR, INTEGRATOR, AUDITOR)
ROLES = BOUND | frozenset(STAFF)

_EVERYBODY = frozenset({PUBLIC})


def _only(*roles: str) -> frozenset[str]:
    return frozenset(roles)


PERMISSIONS: dict[str, frozenset[str]] = {
    # What anybody may see and begin.
    "city.read": _EVERYBODY,
    "log.read": _EVERYBODY,
    "place.read": _EVERYBODY,
    "activity.read": _EVERYBODY,
    "shop.read": _EVERYBODY,
    "promotion.read": _EVERYBODY,
    "learner.join": _EVERYBODY,
    "learner.recover": _EVERYBODY,
    "link.open": _EVERYBODY,
    "shop.apply": _EVERYBODY,
    # A learner's own things.
    "learner.secure": _only(LEARNER),
    "checkin.record": _only(LEARNER),
    "redemption.reserve": _only(LEARNER),
    "redemption.cancel": _only(LEARNER, SHOP),
    "redemption.read": _only(LEARNER, SHOP, STEWARD),
    "chain.read": _only(LEARNER),
    "wallet.link": _only(LEARNER),
    "withdrawal.write": _only(LEARNER),
    "deposit.write": _only(LEARNER),
    "badge.award": _only(LEARNER),
    # A shop's till.
    "redemption.find": _only(SHOP),
    "redemption.confirm": _only(SHOP),
    "redemption.refund": _only(SHOP, STEWARD),
    "promotion.write": _only(SHOP, STEWARD),
    "shop.write": _only(SHOP, STEWARD),
    "shop.till": _only(SHOP),
    "shop.spend": _only(SHOP),
    "settlement.ask": _only(SHOP),
    # The stewards' desk.
    "place.write": _only(STEWARD),
    "activity.write": _only(STEWARD),
    "activity.manage": _only(STEWARD),
    "airdrop.manage": _only(STEWARD),
    "code.read": _only(STEWARD, KIOSK),
    "shop.approve": _only(STEWARD),
    "shop.list_all": _only(STEWARD),
    "link.create": _only(STEWARD, OPERATOR),
    "report.read": _only(STEWARD, TREASURER, AUDITOR, OPERATOR),
    # The city's money.
    "entry.post": _only(TREASURER),
    "settlement.answer": _only(TREASURER),
    "account.read": _only(LEARNER, SHOP, STEWARD, TREASURER, AUDITOR),
    # Appointed auditors and those who run the installation.
    "openings.read": _only(AUDITOR),
    "token.create": _only(OPERATOR),
    "metrics.read": _only(OPERATOR),
}


@dataclass(frozen=True)
class Principal:
    """Whoever asks, within one city.

    Attributes:
        city: the city's id.
        roles: the roles held; empty for somebody who is not signed in.
        subject: the learner, shop or activity that a bound role stands for.
        token_id: the token that signed them in, None for the anonymous and for the system.
    """

    city: str
    roles: frozenset[str]
    subject: str | None = None
    token_id: str | None = None

    @classmethod
    def anonymous(cls, city: str) -> Principal:
        """Somebody who is not signed in."""
        return cls(city, frozenset())

    @classmethod
    def system(cls, city: str) -> Principal:
        """The installation itself, for loading and simulating a city: all staff roles, no token."""
        return cls(city, frozenset(STAFF))

    @property
    def signed_in(self) -> bool:
        """Whether any role is held."""
        return bool(self.roles)

    def holds(self, role: str) -> bool:
        """Whether this role is held."""
        return role in self.roles

    def may(self, permission: str) -> bool:
        """Whether a role is held that grants a permission, for whatever it may be bound to."""
        return bool(self.roles & PERMISSIONS[permission])

    def actor(self, permission: str | None = None) -> str:
        """The actor that a leaf names: a role or an institution, never a person.

        Of several staff roles it is the first one that grants `permission`, or the first one held.
        """
        if LEARNER in self.roles:
            return LEARNER
        if SHOP in self.roles:
            return f"{SHOP}:{self.subject}"
        if self.token_id is None and self.roles.issuperset(STAFF):
            return "system"
        granting = PERMISSIONS[permission] if permission else ROLES
        return next((role for role in STAFF if role in self.roles and role in granting), "system")


def require(principal: Principal, permission: str, subject: str | None = None) -> None:
    """Let the principal pass, or raise.

    Args:
        principal: whoever asks.
        permission: a name in `PERMISSIONS`; any other is a programming error.
        subject: what the command concerns; a bound role passes only for its own. None leaves it open, for
            commands that concern the principal's own subject by construction.

    Raises:
        Unauthenticated: nobody is signed in and the permission is not public.
        Forbidden: somebody is, without the role or for another subject.
    """
    allowed = PERMISSIONS[permission]
    if PUBLIC in allowed:
        return
    if not principal.signed_in:
        raise Unauthenticated
    held = principal.roles & allowed
    reaches = subject is None or principal.subject == subject or bool(held - BOUND)
    if not held or not reaches:
        raise Forbidden(permission=permission)


def require_account(principal: Principal, path: str) -> None:
    """Let those pass who may read an account's balance and statement.

    A learner's account is open to that learner alone and to an appointed auditor; a shop's also to the city's
    staff. All other accounts are the city's own: each of their postings stands in the public log.

    Raises:
        Unauthenticated: nobody is signed in.
        Forbidden: the account is somebody else's.
    """
    kind, _, owner = path.partition(":")
    if kind not in {LEARNER, SHOP}:
        return
    if not principal.signed_in:
        raise Unauthenticated
    own = kind in principal.roles and principal.subject == owner
    readers = {AUDITOR} if kind == LEARNER else {AUDITOR, STEWARD, TREASURER}
    if not own and not principal.roles & readers:
        raise Forbidden(permission="account.read")


def check_roles(roles: frozenset[str], subject: str | None) -> None:
    """Refuse a set of roles that no principal can hold.

    Raises:
        ValidationFailed: an unknown role, a bound role beside another, or a subject where none belongs.
    """
    unknown = sorted(roles - ROLES)
    if unknown or not roles:
        raise ValidationFailed({"roles": f"Use one or more of {', '.join(sorted(ROLES))}."})
    bound = sorted(roles & BOUND)
    if bound and len(roles) > 1:
        raise ValidationFailed({"roles": f"Give '{bound[0]}' alone; it does not go together with other roles."})
    if bound and not subject:
        raise ValidationFailed({"subject": f"Name the {_SUBJECTS[bound[0]]} that the role '{bound[0]}' is for."})
    if not bound and subject:
        raise ValidationFailed({"subject": "Leave this empty: the role reaches the whole city."})


_SUBJECTS = {LEARNER: "learner", SHOP: "shop", KIOSK: "activity"}
