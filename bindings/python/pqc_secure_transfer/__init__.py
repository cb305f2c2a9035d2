"""PQC Secure Transfer: move large files and arrays between parties, safe against quantum computers.

    import pqc_secure_transfer as pqc

    me = pqc.Identity.default(create=True)
    pqc.seal("model.bin", "model.pqx", recipients=[bob], sign=me)
    pqc.send(weights, "pqc://example.org/round-7/me.npy")        # a numpy array, without a copy

`seal` and `open` work on containers, `Client`, `send` and `get` with servers, `Server` is one.
`pqc_secure_transfer.aio` has the same for asyncio. `StreamingEncryptor`, `HybridCrypto`, `KeyManager`,
`SecureServer` and `SecureClient` are those of the first Python version of this system, by its names;
programs written today do without. docs/python.md is the reference.

Python objects of this package are not safe across os.fork() while a call is under way: use the
"spawn" or "forkserver" start method of multiprocessing, or fork before the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from . import _native, secure_channel
from .client import (
    Client,
    Entry,
    Ping,
    Progress,
    ReceiptInfo,
    Transfer,
    get,
    send,
    verify_receipt,
)
from .errors import (
    AlreadyExistsError,
    Cancelled,
    IdentityChangedError,
    IntegrityError,
    IoError,
    NoKeyError,
    NotFoundError,
    OutOfMemory,
    PassphraseError,
    PqcError,
    QuotaError,
    RefusedError,
    SourceChangedError,
    TemporaryError,
    TimedOutError,
    UnknownServerError,
    UsageError,
    error_class,
)
from .hybrid_crypto import HybridCrypto
from .key_manager import KeyManager
from .keys import Identity, Kek, PublicIdentity
from .sealing import (
    Opened,
    Sealed,
    inspect,
    open,
    open_bytes,
    rewrap,
    seal,
    seal_bytes,
    sealed_size,
)
from .secure_channel import SecureClient, SecureServer
from .server import Access, Received, Server
from .streaming_encryptor import StreamingEncryptor

__version__: str = _native.lib.pqc_version().decode()

__all__ = [
    "Access",
    "AlreadyExistsError",
    "Cancelled",
    "Client",
    "Entry",
    "HybridCrypto",
    "Identity",
    "IdentityChangedError",
    "IntegrityError",
    "IoError",
    "Kek",
    "KeyManager",
    "NoKeyError",
    "NotFoundError",
    "Opened",
    "OutOfMemory",
    "PassphraseError",
    "Ping",
    "PqcError",
    "Progress",
    "PublicIdentity",
    "QuotaError",
    "ReceiptInfo",
    "Received",
    "RefusedError",
    "Sealed",
    "SecureClient",
    "SecureServer",
    "Server",
    "SourceChangedError",
    "StreamingEncryptor",
    "TemporaryError",
    "TimedOutError",
    "Transfer",
    "UnknownServerError",
    "UsageError",
    "error_class",
    "get",
    "inspect",
    "open",
    "open_bytes",
    "rewrap",
    "seal",
    "seal_bytes",
    "sealed_size",
    "send",
    "verify_receipt",
]


if not TYPE_CHECKING:  # a type checker would take any name then

    def __getattr__(name: str) -> NoReturn:
        if name == "SecureChannel":  # of the first version
            secure_channel.__getattr__(name)  # says what is there instead
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
