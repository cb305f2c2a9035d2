"""Sealing and opening: containers that only their recipients open (docs/container.md).

    sealed = seal("model.bin", "model.pqx", recipients=[bob], sign=me)
    opened = open("model.pqx", "model.bin", identity=me, sender=alice)

A source is a path (str or PathLike), a buffer (bytes, memoryview, a C-contiguous numpy array; read in
place), or a binary file-like object with read(). A sink is a path, a writable buffer (written in
place), or a binary file-like object with write(). A str is a path, always; bytes are content, always.

The work is done outside of the interpreter lock, in `threads` threads. Memory: two parts a thread and
little more, whatever the length.
"""

from __future__ import annotations

import ctypes
import io
import json
from ctypes import byref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional, Union

from . import _native
from ._buffers import id_bytes, path_bytes
from ._call import Call
from .errors import UsageError
from .keys import Identity, Kek, PublicIdentity, suite_bytes

if TYPE_CHECKING:
    from ._buffers import Buffer, Secret, StrPath
    from ._call import ProgressFunction
    from ._streams import Sink, Source

__all__ = [
    "Opened",
    "Sealed",
    "inspect",
    "open",
    "open_bytes",
    "rewrap",
    "seal",
    "seal_bytes",
    "sealed_size",
]

_lib = _native.lib


@dataclass(frozen=True)
class Sealed:
    """What came of `seal`.

    Attributes:
        file_id: 32 bytes that name the container; random.
        size: plaintext bytes.
        sealed_size: bytes of the container.
        parts: how many parts it has.
        sha256: SHA-256 of the plaintext, 32 bytes; None unless it was asked for.
    """

    file_id: bytes
    size: int
    sealed_size: int
    parts: int
    sha256: Optional[bytes]


@dataclass(frozen=True)
class Opened:
    """What came of `open`.

    Attributes:
        file_id: 32 bytes that name the container.
        size: plaintext bytes.
        parts: how many parts it has.
        sender_id: the 32 bytes of who signed it; None when nobody did.
        is_signed: was it signed? The signature is good then.
        time: when it was sealed, seconds since 1970.
        suite: ``"Kyber768"`` or ``"Kyber1024"``.
        sha256: SHA-256 of the plaintext, 32 bytes; None unless it was asked for.
    """

    file_id: bytes
    size: int
    parts: int
    sender_id: Optional[bytes]
    is_signed: bool
    time: int
    suite: str
    sha256: Optional[bytes]


@dataclass(frozen=True)
class _For:
    """For whom something is sealed."""

    recipients: Iterable[PublicIdentity] = ()
    passphrase: Optional[Secret] = field(default=None, repr=False)
    key: Optional[Buffer] = field(default=None, repr=False)
    associated_data: Optional[Buffer] = None
    kek: Optional[Kek] = None


@dataclass(frozen=True)
class _Keys:
    """What may open something."""

    identity: Optional[Identity] = None
    passphrase: Optional[Secret] = field(default=None, repr=False)
    key: Optional[Buffer] = field(default=None, repr=False)
    associated_data: Optional[Buffer] = None
    kek: Optional[Kek] = None
    sender: Union[PublicIdentity, bytes, None] = None


def handle_of(thing: Any, kind: type, what: str) -> Optional[int]:
    """The C object of an Identity or PublicIdentity; None for None. thing must outlive the call."""
    if thing is None:
        return None
    if not isinstance(thing, kind):
        raise TypeError(f"{what} must be {kind.__name__}, not {type(thing).__name__}")
    handle: Optional[int] = getattr(thing, "_handle")
    return handle


def _shared(call: Call, options: Any, what: Union[_For, _Keys]) -> None:
    """Set the fields that seal and open have in common."""
    options.passphrase = call.secret(what.passphrase, "passphrase")
    if what.key is not None:
        options.raw_key = call.secret(what.key, "key", _native.PQC_KEY_SIZE)
    if what.associated_data is not None:
        if what.key is None:
            raise UsageError("associated_data is bound to a key: it goes with key= only")
        memory = call.memory(what.associated_data)
        options.associated_data, options.associated_data_size = memory.address, memory.size
    if what.kek is not None:
        if not isinstance(what.kek, Kek):
            raise TypeError(f"kek must be Kek, not {type(what.kek).__name__}")
        options.kek = ctypes.pointer(call.keep(what.kek)._struct)


def _seal_options(call: Call, whom: _For) -> Any:
    options = call.keep(_native.init(_native.pqc_seal_options()))
    if isinstance(whom.recipients, PublicIdentity):
        raise TypeError("recipients must be several: [public], not public")
    people = call.keep([public_of(one) for one in whom.recipients])
    if people:
        options.recipients = (ctypes.c_void_p * len(people))(*(one._handle for one in people))
        options.recipient_count = len(people)
    _shared(call, options, whom)
    return options


def public_of(thing: object) -> PublicIdentity:
    """A recipient; also that of an Identity."""
    if isinstance(thing, Identity):
        return thing.public
    if not isinstance(thing, PublicIdentity):
        raise TypeError(f"a recipient must be PublicIdentity, not {type(thing).__name__}")
    return thing


def _open_options(call: Call, keys: _Keys) -> Any:
    options = call.keep(_native.init(_native.pqc_open_options()))
    options.identity = handle_of(call.keep(keys.identity), Identity, "identity")
    if keys.sender is not None:
        sender = call.keep(ctypes.create_string_buffer(id_bytes(keys.sender, "sender"), 32))
        options.expected_sender = ctypes.addressof(sender)
    _shared(call, options, keys)
    return options


def _digest(call: Call, options: Any, wanted: bool) -> Any:
    if not wanted:
        return None
    digest = call.keep((ctypes.c_uint8 * _native.PQC_SHA256_SIZE)())
    options.sha256 = ctypes.addressof(digest)
    return digest


def number(value: int, most: int, what: str) -> int:
    """An argument that C takes as an unsigned number."""
    if not isinstance(value, int):
        raise TypeError(f"{what} must be int, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise UsageError(f"{what} must be from 0 to {most}, not {value}")
    return value


def seal(
    source: Source,
    sink: Sink,
    *,
    recipients: Iterable[PublicIdentity] = (),
    passphrase: Optional[Secret] = None,
    key: Optional[Buffer] = None,
    associated_data: Optional[Buffer] = None,
    kek: Optional[Kek] = None,
    sign: Optional[Identity] = None,
    suite: Optional[str] = None,
    part_size: int = 0,
    threads: int = 0,
    sha256: bool = False,
    replace: bool = False,
    progress: Optional[ProgressFunction] = None,
) -> Sealed:
    """Encrypt source into a container at sink. `pqc open` opens it too.

    At least one of recipients, passphrase, key and kek says who can open it; a passphrase stands
    alone. A path appears under its name when it is whole and durable.

    Args:
        source: path, buffer or binary file; a file is read from its position to its end, and is
            left there; after an error a file that can seek is where it was.
        sink: path, writable buffer or binary file; a file is written from its position on.
        recipients: whose private keys shall open it.
        passphrase: str (taken as UTF-8) or bytes.
        key: 32 bytes, a raw key.
        associated_data: bytes bound to key: who opens must give the same. Only with key.
        kek: a key-encryption key.
        sign: who signs; None: unsigned, and anybody who can open it could have made it.
        suite: ``"Kyber768"`` or ``"Kyber1024"``; None: the signer's, else Kyber768.
        part_size: bytes, a power of two from 64 KiB to 32 MiB; 0: 4 MiB.
        threads: to work with; 0: one for each core, at most 4.
        sha256: compute the plaintext's SHA-256 too, which costs time.
        replace: of a path: replace the file that is there.
        progress: called with `Progress` in this thread; what it raises ends the call.

    Raises:
        NotFoundError, RefusedError, IoError: source cannot be read, or sink not be written.
        AlreadyExistsError: the sink's path is there, and replace is False.
        SourceChangedError: the source file changed meanwhile.
        QuotaError: no space left; "too-big": the buffer is smaller than the container.
        UsageError: arguments that do not go together, or an array that is not C-contiguous.
    """
    with Call(progress) as call:
        options = _seal_options(call, _For(recipients, passphrase, key, associated_data, kek))
        options.sign = handle_of(call.keep(sign), Identity, "sign")
        options.suite = suite_bytes(suite)
        options.part_size = number(part_size, 2**32 - 1, "part_size")
        options.threads = number(threads, 2**16, "threads")
        digest = _digest(call, options, sha256)
        result = _native.pqc_seal_result()
        start, end = call.source(source), call.sink(sink, replace)
        call.run(
            _lib.pqc_seal, byref(start), byref(end), byref(options), call.control, byref(result)
        )
        return Sealed(
            file_id=bytes(result.file_id),
            size=result.size,
            sealed_size=result.sealed_size,
            parts=result.parts,
            sha256=None if digest is None else bytes(digest),
        )


def open(
    source: Source,
    sink: Sink,
    *,
    identity: Optional[Identity] = None,
    passphrase: Optional[Secret] = None,
    key: Optional[Buffer] = None,
    associated_data: Optional[Buffer] = None,
    kek: Optional[Kek] = None,
    sender: Union[PublicIdentity, bytes, None] = None,
    threads: int = 0,
    sha256: bool = False,
    replace: bool = False,
    progress: Optional[ProgressFunction] = None,
) -> Opened:
    """Decrypt the container at source into sink, and check all of it.

    A file-like sink gets plaintext before the whole was checked: a true beginning of what was
    sealed, always; but only the return of this function says that it is all of it, and that the
    signature is good. A path appears only when all is checked.

    Args:
        source: path, buffer or binary file; a file is read from its position on.
        sink: path, writable buffer or binary file; a file is written from its position on.
        identity, passphrase, key, kek: what may open it; those given are tried.
        associated_data: the bytes it was sealed with. Only with key.
        sender: it must be signed by this identity (`PublicIdentity`, or the 32 bytes of its id);
            None: anybody or nobody.
        threads: to work with; 0: one for each core, at most 4.
        sha256: compute the plaintext's SHA-256 too, which costs time.
        replace: of a path: replace the file that is there.
        progress: called with `Progress` in this thread; what it raises ends the call.

    Raises:
        NoKeyError: nothing that was given opens it.
        PassphraseError: the passphrase is wrong.
        IntegrityError: it is damaged, edited or truncated, or no container, or not sender's.
        NotFoundError, RefusedError, IoError: source cannot be read, or sink not be written.
        AlreadyExistsError: the sink's path is there, and replace is False.
        QuotaError: no space left; "too-big": the buffer is smaller than the plaintext.
        UsageError: arguments that do not go together, or an array that is not C-contiguous.
    """
    with Call(progress) as call:
        options = _open_options(
            call, _Keys(identity, passphrase, key, associated_data, kek, sender)
        )
        options.threads = number(threads, 2**16, "threads")
        digest = _digest(call, options, sha256)
        result = _native.pqc_open_result()
        start, end = call.source(source), call.sink(sink, replace)
        call.run(
            _lib.pqc_open, byref(start), byref(end), byref(options), call.control, byref(result)
        )
        return Opened(
            file_id=bytes(result.file_id),
            size=result.size,
            parts=result.parts,
            sender_id=bytes(result.sender_id) if result.is_signed else None,
            is_signed=bool(result.is_signed),
            time=result.time,
            suite=result.suite.decode(),
            sha256=None if digest is None else bytes(digest),
        )


def seal_bytes(
    data: Buffer,
    *,
    recipients: Iterable[PublicIdentity] = (),
    passphrase: Optional[Secret] = None,
    key: Optional[Buffer] = None,
    associated_data: Optional[Buffer] = None,
    kek: Optional[Kek] = None,
    sign: Optional[Identity] = None,
    suite: Optional[str] = None,
    part_size: int = 0,
) -> bytes:
    """The container of some bytes, as bytes; `seal` explains arguments and errors."""
    sink = io.BytesIO()
    seal(
        content(data),
        sink,
        recipients=recipients,
        passphrase=passphrase,
        key=key,
        associated_data=associated_data,
        kek=kek,
        sign=sign,
        suite=suite,
        part_size=part_size,
    )
    return sink.getvalue()


def open_bytes(
    data: Buffer,
    *,
    identity: Optional[Identity] = None,
    passphrase: Optional[Secret] = None,
    key: Optional[Buffer] = None,
    associated_data: Optional[Buffer] = None,
    kek: Optional[Kek] = None,
    sender: Union[PublicIdentity, bytes, None] = None,
) -> bytes:
    """The plaintext of a container that is bytes; `open` explains arguments and errors."""
    sink = io.BytesIO()
    open(
        content(data),
        sink,
        identity=identity,
        passphrase=passphrase,
        key=key,
        associated_data=associated_data,
        kek=kek,
        sender=sender,
    )
    return sink.getvalue()


def content(data: Buffer) -> Buffer:
    """data, which must be no path: who gives a str here forgot to encode it."""
    if isinstance(data, str):
        raise TypeError("data must be bytes or another buffer, not str")
    return data


def sealed_size(
    size: int, *, suite: Optional[str] = None, part_size: int = 0, signed: bool = False
) -> int:
    """Bytes of the container that `seal` makes of `size` plaintext bytes.

    Args:
        size: plaintext bytes, 0 or more.
        suite, part_size: as in `seal`.
        signed: shall it be signed?

    Raises:
        UsageError: no container can have these.
    """
    size = number(size, 2**64 - 2, "size")
    part_size = number(part_size, 2**32 - 1, "part_size")
    result: int = _lib.pqc_sealed_size(suite_bytes(suite), size, part_size, int(signed))
    if result == _native.PQC_SIZE_UNKNOWN:
        raise UsageError(f"no container of suite {suite}, part size {part_size} holds {size} bytes")
    return result


def inspect(path: StrPath) -> Dict[str, Any]:
    """What can be known of a container without a key: the object that `pqc inspect --json` prints.

    Raises:
        NotFoundError, RefusedError, IoError: the file cannot be read.
        IntegrityError: it is no container, or a damaged one.
    """
    text, error = _native.pqc_buffer(), _native.pqc_error()
    _native.check(_lib.pqc_inspect(path_bytes(path), byref(text), byref(error)), error)
    found: Dict[str, Any] = json.loads(_native.take(text).rstrip(b"\0"))
    return found


def rewrap(
    path: StrPath,
    *,
    identity: Optional[Identity] = None,
    passphrase: Optional[Secret] = None,
    key: Optional[Buffer] = None,
    associated_data: Optional[Buffer] = None,
    kek: Optional[Kek] = None,
    remove: Iterable[Union[PublicIdentity, bytes]] = (),
    remove_all: bool = False,
    add_recipients: Iterable[PublicIdentity] = (),
    add_passphrase: Optional[Secret] = None,
    add_key: Optional[Buffer] = None,
    add_associated_data: Optional[Buffer] = None,
    add_kek: Optional[Kek] = None,
) -> None:
    """Change who can open the container at path, without sealing it again; finishes what an
    interrupted rewrap left.

    After an error or a crash at any moment it opens for those of before or for those of after. Who
    could open it before may have kept its content: to keep it from them, seal it anew.

    Args:
        path: of the container, which is changed in place.
        identity, passphrase, key, associated_data, kek: what opens it now, as for `open`.
        remove: recipients (or the 32 bytes of their ids) that shall no longer open it.
        remove_all: remove all that could open it.
        add_recipients, add_passphrase, add_key, add_associated_data, add_kek: what shall open it
            too, as for `seal`; add_kek only where a Kek could open it from the beginning.

    Raises:
        NoKeyError, PassphraseError: nothing that was given opens it.
        NotFoundError: no such file, or somebody of remove is not there.
        IntegrityError: it is no container, or a damaged one.
        UsageError: arguments that do not go together.
    """
    with Call() as call:
        options = _native.init(_native.pqc_rewrap_options())
        now = _Keys(identity, passphrase, key, associated_data, kek)
        options.keys = ctypes.pointer(_open_options(call, now))
        ids = b"".join(id_bytes(one, "one of remove") for one in remove)
        gone = call.keep(ctypes.create_string_buffer(ids, len(ids) + 1))
        options.remove, options.remove_count = ctypes.addressof(gone), len(ids) // 32
        options.remove_all = bool(remove_all)
        people = list(add_recipients)
        add = _For(people, add_passphrase, add_key, add_associated_data, add_kek)
        if people or not (add_passphrase is None and add_key is None and add_kek is None):
            options.add = ctypes.pointer(_seal_options(call, add))
        call.run(_lib.pqc_rewrap, path_bytes(path), byref(options))
