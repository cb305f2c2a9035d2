"""How far a call is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from . import _native

__all__ = ["Progress"]


def known(value: int) -> Optional[int]:
    """None for PQC_SIZE_UNKNOWN."""
    return None if value == _native.PQC_SIZE_UNKNOWN else value


@dataclass(frozen=True)
class Progress:
    """How far a call is; given to `progress` functions, at most ten times a second and at the end.

    Attributes:
        done: plaintext bytes that are done.
        total: plaintext bytes there are, None while nobody knows.
        resumed: of done, the bytes that an earlier, interrupted call had moved.
        committing: all bytes are there; waiting for the server's receipt.
        queued: the server is busy and the request waits in its queue.
        position: in that queue: 1 is next; 0 when the server does not tell.
        estimate: seconds that waiting may still take, None when the server does not tell.
    """

    done: int
    total: Optional[int]
    resumed: int
    committing: bool
    queued: bool
    position: int
    estimate: Optional[float]

    @property
    def fraction(self) -> Optional[float]:
        """done / total, 0.0 to 1.0; None while nobody knows the total."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0

    @classmethod
    def _of(cls, struct: Any) -> Progress:
        estimate = known(struct.estimate_ms)
        return cls(
            done=struct.done,
            total=known(struct.total),
            resumed=struct.resumed,
            committing=bool(struct.committing),
            queued=bool(struct.queued),
            position=struct.position,
            estimate=None if estimate is None or not struct.queued else estimate / 1000,
        )
