"""What can go wrong between the ledger and a chain.

    ChainError
    ├── Unreachable       no answer that could be understood: what was sent may have arrived or not
    ├── NodeRefused       the node answered that it will not; `reason` says of what kind
    ├── Reverted          the contract refuses; `reason` is the name of its error, `params` the error's arguments
    └── WrongChain        another chain, or other code at the contract's address, than was configured

These happen in jobs and at start, never inside a request: nothing acts on the chain there.
"""

from __future__ import annotations

from typing import Any, Literal

from ledger.errors import LedgerError

Kind = Literal["known", "nonce_used", "underpriced", "unfunded", "too_many", "unsupported", "other"]

_WORDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("known", ("already known", "already imported", "alreadyknown", "known transaction", "already exists")),
    ("nonce_used", ("nonce too low", "nonce is too low", "oldnonce", "invalid nonce", "nonce too small")),
    ("underpriced", ("underpriced", "fee too low", "gas price too low", "less than block base fee", "feetoolow",
                     "max fee per gas")),
    ("unfunded", ("insufficient funds", "insufficient balance")),
    ("too_many", ("query returned more than", "block range", "range is too", "too many results", "limit exceeded",
                  "response size", "too large")),
    ("unsupported", ("method not found", "not supported", "does not exist", "unsupported", "not available")),
)  # fmt: skip
"""How the common nodes put it, in the order in which they are looked for; every client has words of its own."""


ANSWERING = "see that the node runs, and that its URL is right: --rpc, or rpc in <data>/chain/<city>.toml"
MATCHING = {
    "chain_id": "rpc and chain_id in <data>/chain/<city>.toml are of two chains: mend the one that is wrong",
    "no_code": "see address and rpc in <data>/chain/<city>.toml: on this chain nothing is deployed there",
    "code": "see address and code_hash in <data>/chain/<city>.toml: other code is deployed there",
    "origin": "see address in <data>/chain/<city>.toml: the token there is of another log",
    "decimals": "see address in <data>/chain/<city>.toml: the token there has another scale",
}
"""What to look at where something else answers than was configured, by reason."""


class ChainError(LedgerError):
    """The base of all that goes wrong with a chain."""

    code = "chain"


class Unreachable(ChainError):
    """The node gave no answer, or none that could be understood; `params["host"]` names it, without path or keys."""

    code = "chain_unreachable"

    def __init__(self, host: str, method: str, cause: str) -> None:
        super().__init__(None, host=host, method=method, cause=cause, remedy=ANSWERING)


class NodeRefused(ChainError):
    """The node answered with an error.

    `reason` is its kind. "known" and "nonce_used" are no failure of a broadcast: they mean that each attempt has to be
    looked up. `params["message"]` is what the node said, cut to 300 characters.
    """

    code = "chain_refused"

    def __init__(self, method: str, number: int, message: str, data: bytes = b"") -> None:
        super().__init__(kind_of(message), method=method, number=number, message=message[:300])
        self.data = data


class Reverted(ChainError):
    """A contract refuses. `reason` is the name of its error, or "reverted" where it names none that is known."""

    code = "chain_reverted"

    def __init__(self, name: str, arguments: dict[str, Any]) -> None:
        super().__init__(name, **arguments)


class WrongChain(ChainError):
    """What answers is not what was configured; `reason` is one of `MATCHING`."""

    code = "chain_mismatch"

    def __init__(self, reason: str, **params: Any) -> None:
        super().__init__(reason, **params, remedy=MATCHING[reason])


def kind_of(message: str) -> Kind:
    """Return of what kind a node's error message is."""
    lower = message.lower()
    return next((kind for kind, words in _WORDS if any(word in lower for word in words)), "other")
