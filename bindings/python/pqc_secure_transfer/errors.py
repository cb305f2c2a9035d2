"""The exceptions: one class for each kind of failure, each with the library's code.

Every exception that the library raises is a `PqcError`. Each also derives from the builtin exception
that Python programmers expect, so ``except FileNotFoundError`` and ``except NotFoundError`` both
catch a missing object. Their text is a sentence for a person and never holds a secret.

    try:
        pqc_secure_transfer.get(url, "model.bin")
    except pqc_secure_transfer.TemporaryError:
        ...                        # the server is away: the same call goes on later
    except pqc_secure_transfer.PqcError as error:
        log.error("%s: %s", error.code, error)
        sys.exit(error.exit_code)  # what `pqc` would have exited with

Two kinds of mistake are no `PqcError`: an argument of a wrong type is a `TypeError`, and what a
callback or a file-like object of the caller's raises arrives as it was raised.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Dict, Optional, Tuple, Type

if TYPE_CHECKING:
    from .client import Transfer

__all__ = [
    "AlreadyExistsError",
    "Cancelled",
    "IdentityChangedError",
    "IntegrityError",
    "IoError",
    "NoKeyError",
    "NotFoundError",
    "OutOfMemory",
    "PassphraseError",
    "PqcError",
    "QuotaError",
    "RefusedError",
    "SourceChangedError",
    "TemporaryError",
    "TimedOutError",
    "UnknownServerError",
    "UsageError",
    "error_class",
]


class PqcError(Exception):
    """Something failed; the base of all that the library raises.

    Raised itself for "failed" (a reason of its own, see the text) and "crypto-internal".

    Attributes:
        code: the name of what failed, such as ``"integrity"``; what `pqc --json` prints and servers
            log (docs/cli.md has the list).
        number: the same as the C interface's number (``enum pqc_code`` of pqc.h), negative.
        exit_code: what the program `pqc` exits with for it, 1 to 8 or 130.
        transfer: how far a `send` or `get` came, with its trace id; None for everything else.
    """

    _code = "failed"
    _errno: Optional[int] = None

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.code: str = code or self._code
        self.transfer: Optional[Transfer] = None
        if self._errno is not None and isinstance(self, OSError):
            setattr(self, "errno", self._errno)  # OSError's

    @property
    def number(self) -> int:
        """The code as a number of pqc.h, negative."""
        return _CODES.get(self.code, _CODES["failed"])[0]

    @property
    def exit_code(self) -> int:
        """What `pqc` exits with for this code: 1 to 8, or 130."""
        return _CODES.get(self.code, _CODES["failed"])[1]

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class NotFoundError(PqcError, FileNotFoundError):
    """No such object, file or key ("not-found")."""

    _code, _errno = "not-found", errno.ENOENT


class RefusedError(PqcError, PermissionError):
    """Identity or permission refused ("refused").

    A server also says this of objects that are not there: absent and not allowed are one answer.
    """

    _code, _errno = "refused", errno.EACCES


class UnknownServerError(RefusedError):
    """The server's identity is not pinned ("unknown-server"): `Client.trust` it first."""

    _code = "unknown-server"


class IdentityChangedError(RefusedError):
    """The server's identity is another than the pinned one ("identity-changed")."""

    _code = "identity-changed"


class TemporaryError(PqcError, ConnectionError):
    """Trying again may help ("temporary", "closed", "again"); a transfer goes on where it stopped."""

    _code = "temporary"


class TimedOutError(TemporaryError, TimeoutError):
    """No progress for too long ("timeout")."""

    _code, _errno = "timeout", errno.ETIMEDOUT


class IntegrityError(PqcError, ValueError):
    """Damaged, edited, truncated or wrongly keyed data ("integrity"), or a peer that broke the
    protocol ("protocol")."""

    _code = "integrity"


class SourceChangedError(IntegrityError):
    """The source file changed while it was read ("source-changed")."""

    _code = "source-changed"


class NoKeyError(PqcError, ValueError):
    """No key at hand opens this ("no-key")."""

    _code = "no-key"


class PassphraseError(NoKeyError):
    """The passphrase is wrong or missing ("passphrase")."""

    _code = "passphrase"


class QuotaError(PqcError, OSError):
    """Out of space, quota or size limit ("quota"), or larger than the room for it ("too-big")."""

    _code, _errno = "quota", errno.ENOSPC


class AlreadyExistsError(PqcError, FileExistsError):
    """The target is there already ("exists"); ``replace=True`` replaces a file."""

    _code, _errno = "exists", errno.EEXIST


class UsageError(PqcError, ValueError):
    """An argument's value is wrong ("usage"), a name is not allowed ("bad-name"), or a
    configuration value or file is wrong ("configuration")."""

    _code = "usage"


class OutOfMemory(PqcError, MemoryError):
    """Memory could not be allocated ("no-memory")."""

    _code = "no-memory"


class IoError(PqcError, OSError):
    """A read or write of a file failed ("io")."""

    _code, _errno = "io", errno.EIO


class Cancelled(PqcError):
    """The call was cancelled ("interrupted")."""

    _code = "interrupted"


# name -> number, exit code, class: the list of the library, which a test compares with this one.
_CODES: Dict[str, Tuple[int, int, Type[PqcError]]] = {
    "failed": (-1, 1, PqcError),
    "usage": (-2, 2, UsageError),
    "not-found": (-3, 3, NotFoundError),
    "refused": (-4, 4, RefusedError),
    "temporary": (-5, 5, TemporaryError),
    "integrity": (-6, 6, IntegrityError),
    "quota": (-7, 7, QuotaError),
    "configuration": (-8, 8, UsageError),
    "no-memory": (-9, 1, OutOfMemory),
    "io": (-10, 1, IoError),
    "crypto-internal": (-11, 1, PqcError),
    "protocol": (-12, 6, IntegrityError),
    "no-key": (-13, 4, NoKeyError),
    "passphrase": (-14, 4, PassphraseError),
    "source-changed": (-15, 6, SourceChangedError),
    "exists": (-16, 4, AlreadyExistsError),
    "unknown-server": (-17, 4, UnknownServerError),
    "identity-changed": (-18, 4, IdentityChangedError),
    "bad-name": (-19, 2, UsageError),
    "too-big": (-20, 7, QuotaError),
    "again": (-21, 5, TemporaryError),
    "closed": (-22, 5, TemporaryError),
    "timeout": (-23, 5, TimedOutError),
    "interrupted": (-24, 130, Cancelled),
}


def error_class(code_name: str) -> Type[PqcError]:
    """The exception class for a code's name, ``"integrity"`` and the like.

    Useful for names that came from elsewhere, such as the "code" of a line of `pqc --json`. A name
    that is none gives `PqcError`.
    """
    return _CODES.get(code_name, _CODES["failed"])[2]
