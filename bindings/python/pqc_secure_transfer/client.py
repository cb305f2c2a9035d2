"""Moving objects to and from servers (docs/protocol.md), resumably.

    client = Client(accept_new=True)
    client.send("model.bin", "pqc://example.org/round-7/model.bin")
    client.get("pqc://example.org/round-7/model.bin", "model.bin")

URLs are pqc://HOST[:PORT]/NAME, port 8765, or pqcs:// for TLS; ws:// and wss:// work too. Sources and
sinks are those of `pqc_secure_transfer.sealing`: a path, a buffer used in place, or a binary file.

Every call makes connections of its own and closes them. A broken connection is made again by itself.
A call that ended early (an exception of a callback, Ctrl-C, a server that stayed away) is taken up
where it stopped by the same call later: from and to paths always, from buffers unless resume=False,
from and to file-like objects never.
"""

from __future__ import annotations

import ctypes
import io
import math
from ctypes import byref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, List, NoReturn, Optional, Union

from . import _native
from ._buffers import Memory, id_bytes, optional_path, text_bytes
from ._call import Call
from ._progress import Progress
from .errors import PqcError, RefusedError, UnknownServerError, UsageError
from .keys import Identity, PublicIdentity
from .sealing import content, handle_of, number

if TYPE_CHECKING:
    from ._buffers import Buffer, StrPath
    from ._call import NoticeFunction, ProgressFunction
    from ._streams import Sink, Source

__all__ = [
    "Client",
    "Entry",
    "Ping",
    "Progress",
    "ReceiptInfo",
    "Transfer",
    "get",
    "send",
    "verify_receipt",
]

_lib = _native.lib


@dataclass(frozen=True)
class Transfer:
    """What came of a transfer; also, in `PqcError.transfer`, of one that failed.

    Attributes:
        server_id, sender_id, file_id: 32 bytes each; zeros when it did not come that far.
        size: plaintext bytes of the object.
        parts: of the object.
        parts_moved: in this call, repeats counted.
        resumed_bytes: plaintext bytes that an earlier, interrupted call had moved.
        reconnects: how often the connection was made again.
        seconds: how long the call took.
        queue_seconds: of these, waiting in the server's queue.
        trace_id: 32 hex digits; servers log it.
        receipt: of a send: the server's signed receipt, a PEM bundle for `verify_receipt`; else empty.
    """

    server_id: bytes
    sender_id: bytes
    file_id: bytes
    size: int
    parts: int
    parts_moved: int
    resumed_bytes: int
    reconnects: int
    seconds: float
    queue_seconds: float
    trace_id: str
    receipt: bytes

    @classmethod
    def _of(cls, struct: Any) -> Transfer:
        receipt = struct.receipt
        return cls(
            server_id=bytes(struct.server_id),
            sender_id=bytes(struct.sender_id),
            file_id=bytes(struct.file_id),
            size=struct.size,
            parts=struct.parts,
            parts_moved=struct.parts_moved,
            resumed_bytes=struct.resumed_bytes,
            reconnects=struct.reconnects,
            seconds=struct.seconds,
            queue_seconds=struct.queue_seconds,
            trace_id=struct.trace_id.decode(),
            receipt=ctypes.string_at(receipt.data, receipt.size) if receipt.size else b"",
        )


@dataclass(frozen=True)
class Entry:
    """An object on a server.

    Attributes:
        name: of the object.
        size: plaintext bytes.
        time: when it was stored, seconds since 1970.
        owner: the 32 bytes of its sender's id.
    """

    name: str
    size: int
    time: int
    owner: bytes


@dataclass(frozen=True)
class Ping:
    """Who answers at an address.

    Attributes:
        server_id: 32 bytes.
        suite: ``"Kyber768"`` or ``"Kyber1024"``.
        pinned: is it known under this address, and the same?
        tls_group: the key exchange of TLS; None without TLS.
        seconds: how long it took.
    """

    server_id: bytes
    suite: str
    pinned: bool
    tls_group: Optional[str]
    seconds: float


@dataclass(frozen=True)
class ReceiptInfo:
    """What a receipt proves: that the server has signed to hold what the sender sent.

    Attributes:
        server_id, sender_id, file_id: 32 bytes each.
        size: plaintext bytes.
        time: by the server's clock, seconds since 1970.
        log_index: where in the server's log of receipts.
    """

    server_id: bytes
    sender_id: bytes
    file_id: bytes
    size: int
    time: int
    log_index: int


def verify_receipt(
    receipt: Buffer,
    *,
    server: Union[PublicIdentity, bytes, None] = None,
    sender: Union[PublicIdentity, bytes, None] = None,
) -> ReceiptInfo:
    """Check every signature in a receipt, offline; `pqc receipt --verify` does the same.

    Args:
        receipt: the PEM bundle of `Transfer.receipt` or `Client.receipt`.
        server: it must be this server's (`PublicIdentity`, or the 32 bytes of its id); None: compare
            the result's server_id yourself.
        sender: it must be for what this identity sent; None: as before.

    Raises:
        IntegrityError: it is no receipt, or damaged.
        RefusedError: it is good, but of another server or sender.
    """
    info, error = _native.pqc_receipt_info(), _native.pqc_error()
    with Memory(content(receipt)) as memory:
        result = _lib.pqc_receipt_verify(memory.address, memory.size, byref(info), byref(error))
    _native.check(result, error)
    found = ReceiptInfo(
        server_id=bytes(info.server_id),
        sender_id=bytes(info.sender_id),
        file_id=bytes(info.file_id),
        size=info.size,
        time=info.time,
        log_index=info.log_index,
    )
    _expect(found.server_id, server, "server")
    _expect(found.sender_id, sender, "sender")
    return found


def _expect(found: bytes, expected: object, what: str) -> None:
    """A receipt names found as its server or sender; RefusedError unless it is expected."""
    if expected is not None and id_bytes(expected, what) != found:
        raise RefusedError(f"the receipt is good, but its {what} is another: {found.hex()}")


def _milliseconds(seconds: Optional[float], what: str) -> int:
    """A time limit for C; 0 for the default, None."""
    if seconds is None:
        return 0
    if not 0.001 <= seconds <= 86400:
        raise UsageError(f"{what} must be from 0.001 to 86400 seconds, not {seconds}")
    return math.ceil(seconds * 1000)


def _retry_milliseconds(seconds: Optional[float]) -> int:
    if seconds is None:
        return 0
    if not seconds >= 0:
        raise UsageError(f"retry_for must be 0 seconds or more, not {seconds}")
    return -1 if seconds == 0 else math.ceil(min(seconds, 10**9) * 1000)


class Client:
    """How to reach servers, and as whom. Any number of threads may use one at the same time.

    Nothing is connected before a call, and nothing is to be closed after it.

    Args:
        identity: who we are; None: `Identity.default`, which must be there.
        known_servers: path of the file of pinned servers; None: "known_servers" where the identity is.
        state_dir: path of the directory for what resuming needs; None: "state" where the identity is.
        server_id: the server must be this one (`PublicIdentity`, or the 32 bytes of its id), pinned or
            not; None: the one that is pinned.
        accept_new: pin a server that is not pinned yet.
        ca_file: path of certificates to trust for pqcs:// and wss://; None: the system's.
        threads: that seal or open; 0: as many as help, at most 2 to send and 4 to get.
        connect_timeout: seconds a connection may take to come about; None: 10.
        idle_timeout: seconds a connection may bring nothing; None: 60.
        retry_for: seconds to go on connecting again while nothing moves; 0: one attempt; None: 600.
        trace_parent: W3C traceparent of the span that the calls are part of; None: none.

    Raises:
        NotFoundError: there is no default identity: `Identity.default(create=True)` makes it.
        PassphraseError: the default identity's file has a passphrase: load it yourself.
        UsageError: a value that cannot be.
    """

    def __init__(
        self,
        identity: Optional[Identity] = None,
        *,
        known_servers: Optional[StrPath] = None,
        state_dir: Optional[StrPath] = None,
        server_id: Union[PublicIdentity, bytes, None] = None,
        accept_new: bool = False,
        ca_file: Optional[StrPath] = None,
        threads: int = 0,
        connect_timeout: Optional[float] = None,
        idle_timeout: Optional[float] = None,
        retry_for: Optional[float] = None,
        trace_parent: Optional[str] = None,
    ) -> None:
        self._handle: Optional[int] = None
        self._identity = Identity.default() if identity is None else identity
        self._known_servers = optional_path(known_servers)
        options = _native.init(_native.pqc_client_options())
        options.identity = handle_of(self._identity, Identity, "identity")
        options.known_servers = self._known_servers
        options.state_dir = optional_path(state_dir)
        if server_id is not None:
            expected = ctypes.create_string_buffer(id_bytes(server_id, "server_id"), 32)
            options.server_id = ctypes.addressof(expected)
        options.accept_new = bool(accept_new)
        options.ca_file = optional_path(ca_file)
        options.threads = number(threads, 2**16, "threads")
        options.connect_ms = _milliseconds(connect_timeout, "connect_timeout")
        options.idle_ms = _milliseconds(idle_timeout, "idle_timeout")
        options.retry_ms = _retry_milliseconds(retry_for)
        if trace_parent is not None:
            options.trace_parent = text_bytes(trace_parent, "trace_parent")
        handle, error = ctypes.c_void_p(), _native.pqc_error()
        _native.check(_lib.pqc_client_new(byref(options), byref(handle), byref(error)), error)
        self._handle = handle.value

    @property
    def identity(self) -> Identity:
        """Who we are."""
        return self._identity

    def _transfer(self, call: Call, function: Callable[..., int], *args: Any) -> Transfer:
        transfer = _native.pqc_transfer()
        try:
            call.run(function, self._handle, *args, call.control, byref(transfer))
            return Transfer._of(transfer)
        except PqcError as error:
            error.transfer = Transfer._of(transfer)
            raise
        finally:
            _lib.pqc_transfer_free(byref(transfer))

    def send(
        self,
        source: Source,
        url: str,
        *,
        part_size: int = 0,
        resume: bool = True,
        progress: Optional[ProgressFunction] = None,
        notice: Optional[NoticeFunction] = None,
    ) -> Transfer:
        """Seal source with a key of its own, sign it, send it, and get the server's receipt.

        When this returns the server has stored it durably.

        Args:
            source: path, buffer (used in place: do not change it meanwhile) or binary file.
            url: where it goes; the server must be pinned, see `trust` and accept_new.
            part_size: bytes, a power of two from 64 KiB to 32 MiB; 0: 1 MiB.
            resume: of a buffer: a later call with the same bytes and URL goes on where this one
                stopped, for one more pass over the bytes before the first is sent.
            progress: called with `Progress` in this thread; what it raises ends the call, resumably.
            notice: called in this thread with what is worth telling, (event, text): "reconnect",
                "resume", "replaced", ...

        Raises:
            NotFoundError, RefusedError, IoError: source cannot be read.
            RefusedError: the server does not let us; UnknownServerError, IdentityChangedError.
            TemporaryError: the server is away, or went away for longer than retry_for.
            SourceChangedError: the source file changed meanwhile.
            QuotaError: the server has no room for it.
            IntegrityError: the server broke the protocol.
            UsageError: a URL or name that cannot be, or an array that is not C-contiguous.
        """
        with Call(progress, notice) as call:
            options = _native.init(_native.pqc_send_options())
            options.part_size = number(part_size, 2**32 - 1, "part_size")
            options.resume_memory = bool(resume)
            start = call.source(source)
            where = text_bytes(url, "url")
            return self._transfer(call, _lib.pqc_send, where, byref(start), byref(options))

    def get(
        self,
        url: str,
        sink: Sink,
        *,
        sender: Union[PublicIdentity, bytes, None] = None,
        replace: bool = False,
        progress: Optional[ProgressFunction] = None,
        notice: Optional[NoticeFunction] = None,
    ) -> Transfer:
        """Fetch an object, check all of it, and open it into sink.

        A file-like sink gets plaintext before the whole was checked: a true beginning of the object,
        always; but only the return of this function says that it is all of it. A path appears only
        when all is checked.

        Args:
            url: where it is.
            sink: path, writable buffer or binary file.
            sender: it must have been sent by this identity (`PublicIdentity`, or the 32 bytes of its
                id); None: by anybody.
            replace: of a path: replace the file that is there.
            progress, notice: as for `send`.

        Raises:
            RefusedError: the server does not let us, or there is no such object: one answer for both.
            UnknownServerError, IdentityChangedError: see `trust`.
            TemporaryError: the server is away, or went away for longer than retry_for.
            IntegrityError: it is damaged, or not sender's.
            AlreadyExistsError: the sink's path is there, and replace is False.
            QuotaError: no space left; "too-big": the buffer is smaller than the object.
            UsageError: a URL or name that cannot be, or an array that is not C-contiguous.
        """
        with Call(progress, notice) as call:
            options = _native.init(_native.pqc_get_options())
            if sender is not None:
                expected = ctypes.create_string_buffer(id_bytes(sender, "sender"), 32)
                setattr(options, "from", ctypes.addressof(call.keep(expected)))
            end = call.sink(sink, replace)
            where = text_bytes(url, "url")
            return self._transfer(call, _lib.pqc_get, where, byref(end), byref(options))

    def get_bytes(
        self,
        url: str,
        *,
        sender: Union[PublicIdentity, bytes, None] = None,
        progress: Optional[ProgressFunction] = None,
        notice: Optional[NoticeFunction] = None,
    ) -> bytes:
        """The object at url, as bytes; `get` explains arguments and errors."""
        sink = io.BytesIO()
        self.get(url, sink, sender=sender, progress=progress, notice=notice)
        return sink.getvalue()

    def list(self, url: str) -> List[Entry]:
        """The objects whose names begin with the URL's, and that we may see.

        Raises:
            RefusedError, TemporaryError, IntegrityError, UsageError: as `get`.
        """
        found: List[Entry] = []

        with Call() as call:

            def each(arg: Optional[int], pointer: Any) -> int:
                try:
                    entry = pointer.contents
                    name = entry.name.decode("utf-8", "surrogateescape")
                    owner = ctypes.string_at(entry.owner, _native.PQC_ID_SIZE)
                    found.append(Entry(name, entry.size, entry.time, owner))
                    return 0
                except BaseException as error:
                    call.fail(error)
                    return int(_native.pqc_code.PQC_EINTERRUPTED)

            where, function = text_bytes(url, "url"), call.keep(_native.EACH(each))
            call.run(_lib.pqc_list, self._handle, where, function, None, call.control)
        return found

    def delete(self, url: str) -> None:
        """Delete an object that we own.

        Raises:
            RefusedError: it is not ours, or there is no such object.
            TemporaryError, IntegrityError, UsageError: as `get`.
        """
        with Call() as call:
            call.run(_lib.pqc_delete, self._handle, text_bytes(url, "url"), call.control)

    def receipt(self, url: str) -> bytes:
        """The receipt of an object that we sent, once more: a PEM bundle for `verify_receipt`.

        Raises:
            RefusedError: we did not send it, or there is no such object.
            TemporaryError, IntegrityError, UsageError: as `get`.
        """
        with Call() as call:
            pem = _native.pqc_buffer()
            where = text_bytes(url, "url")
            call.run(_lib.pqc_receipt, self._handle, where, byref(pem), call.control)
            return _native.take(pem)

    def ping(self, url: str) -> Ping:
        """Connect and see who is there; needs no right there, and no pin.

        Raises:
            IdentityChangedError: it is not the one that is pinned, or not server_id.
            TemporaryError, IntegrityError, UsageError: as `get`.
        """
        with Call() as call:
            result = _native.pqc_ping_result()
            where = text_bytes(url, "url")
            try:
                call.run(_lib.pqc_ping, self._handle, where, byref(result), call.control)
            except UnknownServerError:  # that is an answer too: pinned is False
                pass
            return Ping(
                server_id=bytes(result.server_id),
                suite=result.suite.decode(),
                pinned=bool(result.pinned),
                tls_group=result.tls_group.decode() or None,
                seconds=result.seconds,
            )

    def trust(self, host_port: str, server: Union[PublicIdentity, bytes]) -> None:
        """Pin a server: whoever answers there must be this one.

        Args:
            host_port: such as ``"example.org:8765"``.
            server: its `PublicIdentity`, or the 32 bytes of its id.

        Raises:
            AlreadyExistsError: another is pinned there: `untrust` it first.
            UsageError: a host or port that cannot be.
        """
        error = _native.pqc_error()
        where = text_bytes(host_port, "host_port")
        pin = ctypes.create_string_buffer(id_bytes(server, "server"), 32)
        result = _lib.pqc_known_add(self._known_servers, where, byref(pin), byref(error))
        _native.check(result, error)

    def untrust(self, host_port: str) -> None:
        """Forget the server that is pinned at host_port.

        Raises:
            NotFoundError: none is.
        """
        error = _native.pqc_error()
        where = text_bytes(host_port, "host_port")
        _native.check(_lib.pqc_known_remove(self._known_servers, where, byref(error)), error)

    def __repr__(self) -> str:
        return f"<Client of {self._identity!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client is not copied or pickled: make another one")

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            _lib.pqc_client_free(handle)


def send(
    source: Source,
    url: str,
    *,
    identity: Optional[Identity] = None,
    known_servers: Optional[StrPath] = None,
    state_dir: Optional[StrPath] = None,
    server_id: Union[PublicIdentity, bytes, None] = None,
    accept_new: bool = False,
    ca_file: Optional[StrPath] = None,
    threads: int = 0,
    connect_timeout: Optional[float] = None,
    idle_timeout: Optional[float] = None,
    retry_for: Optional[float] = None,
    trace_parent: Optional[str] = None,
    part_size: int = 0,
    resume: bool = True,
    progress: Optional[ProgressFunction] = None,
    notice: Optional[NoticeFunction] = None,
) -> Transfer:
    """`Client(...).send(...)` in one: for the arguments and errors see there."""
    client = Client(
        identity,
        known_servers=known_servers,
        state_dir=state_dir,
        server_id=server_id,
        accept_new=accept_new,
        ca_file=ca_file,
        threads=threads,
        connect_timeout=connect_timeout,
        idle_timeout=idle_timeout,
        retry_for=retry_for,
        trace_parent=trace_parent,
    )
    return client.send(
        source, url, part_size=part_size, resume=resume, progress=progress, notice=notice
    )


def get(
    url: str,
    sink: Sink,
    *,
    identity: Optional[Identity] = None,
    known_servers: Optional[StrPath] = None,
    state_dir: Optional[StrPath] = None,
    server_id: Union[PublicIdentity, bytes, None] = None,
    accept_new: bool = False,
    ca_file: Optional[StrPath] = None,
    threads: int = 0,
    connect_timeout: Optional[float] = None,
    idle_timeout: Optional[float] = None,
    retry_for: Optional[float] = None,
    trace_parent: Optional[str] = None,
    sender: Union[PublicIdentity, bytes, None] = None,
    replace: bool = False,
    progress: Optional[ProgressFunction] = None,
    notice: Optional[NoticeFunction] = None,
) -> Transfer:
    """`Client(...).get(...)` in one: for the arguments and errors see there."""
    client = Client(
        identity,
        known_servers=known_servers,
        state_dir=state_dir,
        server_id=server_id,
        accept_new=accept_new,
        ca_file=ca_file,
        threads=threads,
        connect_timeout=connect_timeout,
        idle_timeout=idle_timeout,
        retry_for=retry_for,
        trace_parent=trace_parent,
    )
    return client.get(
        url, sink, sender=sender, replace=replace, progress=progress, notice=notice
    )
