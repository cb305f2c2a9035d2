"""A server that files are sent to, and a client that sends them, by the names of the first version.

The wire protocol is ours (docs/protocol.md, over WebSocket), not the first version's, which
authenticated nobody. Here both ends have an identity:

- the client is ``$PQC_HOME/identity``, made at the first use;
- the server has one of its own in ``$PQC_HOME/secure_server/``; a client remembers it at the first
  use, and from then on nobody else will do;
- the server lets in the identity of the user who runs it, and whom it is told to `allow`.

So programs of one user on one machine work without preparation. `Server`, `send` and `get` of this
package can do more.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import socket
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, Callable, NoReturn, Optional, Union
from urllib.parse import quote, urlsplit

from . import _native, aio
from .errors import PqcError, RefusedError
from .keys import Identity, PublicIdentity
from .server import Access, Received, Server

__all__ = ["SecureClient", "SecureServer"]

_log = logging.getLogger("pqc_secure_transfer")

Path = Union[str, os.PathLike[str]]

_METADATA = ".metadata.json"
_RECEIVED = "received_"
_DRAIN, _DRAIN_SECONDS = "5s", 5
_TOKEN = re.compile(r"[0-9a-f]{64}/[0-9a-f]{64}/[^/]+")  # what SecureClient calls a file


def __getattr__(name: str) -> NoReturn:
    if name == "SecureChannel":
        raise ImportError(
            "SecureChannel spoke the wire protocol of the first version, which is no "
            "longer there: use SecureServer and SecureClient, or Server and Client"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _own_identity() -> Identity:
    """The user's, made at the first use; somebody else may be making it at this moment."""
    try:
        return Identity.default(create=True)
    except FileExistsError:
        return Identity.default()


class SecureServer:
    """Receives files into a directory.

    A file NAME appears as ``received_NAME`` when all of it has arrived and was verified, in place
    of what has this name there; metadata that came with it is in ``received_NAME.metadata.json``
    before. The last file of a name wins, whoever sent it.

    On its way a file is in a store of the server's, encrypted. What `SecureClient` sent for the
    user who runs the server is removed from there at once. What others sent is theirs: it stays
    until they delete it.
    """

    def __init__(
        self,
        host: Optional[str] = "localhost",
        port: int = 8765,
        *,
        directory: Optional[Path] = None,
        data_dir: Optional[Path] = None,
        on_received: Optional[Callable[[str], object]] = None,
    ) -> None:
        """Nothing happens before `start_server`.

        host: a name or an address; every address of it. None or "": all of this machine. port: 0
        takes a free one. directory: where files appear; None: the working directory.
        data_dir: what the server keeps; None: ``$PQC_HOME/secure_server``. on_received: is called
        in the event loop with the path of each file that has appeared.
        """
        self.host, self.port = host, port
        self.directory = os.path.abspath(directory if directory is not None else ".")
        self._base = os.path.abspath(
            data_dir if data_dir is not None else _native.home_path("secure_server")
        )
        self._access = Access(os.path.join(self._base, "authorized"))
        self._on_received = on_received
        self._server: Optional[Server] = None
        self._waiting: list[asyncio.Future[str]] = []
        self._uri: Optional[str] = None

    # ---- who may send ----

    def allow(self, public: PublicIdentity) -> None:
        """Let somebody else's identity send files too, from now on and in later runs.

        It may list and delete its own, and sees nothing else.
        """
        os.makedirs(self._base, mode=0o700, exist_ok=True)
        self._allow(public, "put,list,delete", "{id}/**")

    def deny(self, identity: Union[PublicIdentity, bytes]) -> None:
        """No longer let an identity, or the id of one, send files.

        `NotFoundError`: it cannot now.
        """
        (self._server or self._access).deny(identity)

    def _allow(self, public: PublicIdentity, rights: str, pattern: str) -> None:
        if not self._access.knows(public):
            (self._server or self._access).allow(public, rights, pattern)

    # ---- serving ----

    async def start_server(self) -> None:
        """Serve until the task is cancelled; transfers then have five seconds to come to an end.

        What is in the server's store then appears at the next start. `PqcError`, OSError: it cannot
        listen, or had to end.
        """
        os.makedirs(self._base, mode=0o700, exist_ok=True)
        os.makedirs(self.directory, exist_ok=True)
        identity = await asyncio.to_thread(_own_identity)
        with self._store() as store:
            loop = asyncio.get_running_loop()
            arrived: asyncio.Queue[Optional[Received]] = asyncio.Queue()
            self._allow(identity.public, "all", "**")
            server = Server(
                store,
                self._places(),
                drain_timeout=_DRAIN,
                access_file=self._access.path,
                identity=os.path.join(self._base, "identity"),
                kek_file=os.path.join(self._base, "kek"),
                log=_relay,
                log_level="warn",
                on_received=lambda r: loop.call_soon_threadsafe(arrived.put_nowait, r),
            )
            try:
                await _uncancelled(asyncio.to_thread(server.start))
                await self._serve(server, identity, arrived)
            except BaseException as error:
                self._tell(error)
                raise
            finally:
                self._server, self._uri = None, None
                await _uncancelled(asyncio.to_thread(server.stop))

    async def wait_started(self) -> str:
        """Wait until the server listens; its URI for clients on this machine."""
        if self._uri is not None:
            return self._uri
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting

    def _tell(self, how: Union[str, BaseException]) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            if isinstance(how, str):
                future.set_result(how)
            elif isinstance(how, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(how)

    async def _serve(
        self, server: Server, identity: Identity, arrived: asyncio.Queue[Optional[Received]]
    ) -> None:
        self._server = server
        self._uri = "ws" + server.url()[len("pqc") :].rstrip("/")
        _log.info("listening on %s", ", ".join(server.addresses))
        collector = _Collector(server, identity, self.directory, self._on_received)
        await collector.left_behind()
        self._tell(self._uri)
        collecting = asyncio.ensure_future(collector.collect(arrived))
        try:
            await asyncio.to_thread(server.wait)
        finally:
            arrived.put_nowait(None)
            await _uncancelled(asyncio.wait({collecting}, timeout=_DRAIN_SECONDS))
            collecting.cancel()
            await _uncancelled(asyncio.wait({collecting}))

    @contextlib.contextmanager
    def _store(self) -> Iterator[str]:
        """The directory of objects, one for each port, for this program alone."""
        store = os.path.join(self._base, f"port-{self.port}")
        os.makedirs(store, mode=0o700, exist_ok=True)
        with open(store + ".lock", "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OSError(
                    errno.EADDRINUSE, "another SecureServer has this port and data_dir", store
                ) from None
            yield store

    def _places(self) -> list[str]:
        """Every address of the host that there is on this machine, with the port."""
        if not self.host:
            return [f":{self.port}"]
        found = []
        for family, _, _, _, address in socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            if not _usable(family, str(address[0])):
                continue
            host = f"[{address[0]}]" if family == socket.AF_INET6 else str(address[0])
            place = f"{host}:{self.port}"
            if place not in found:
                found.append(place)
        if not found:
            raise OSError(errno.EADDRNOTAVAIL, f"{self.host}: no address of this machine")
        # a free port would be another one for each address
        return found if self.port else found[:1]


def _usable(family: int, address: str) -> bool:
    """localhost is often said to have an IPv6 address where there is no IPv6."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
        return True
    except OSError:
        return False


def _relay(line: Mapping[str, Any]) -> None:
    """A line of the server's log, for people. That it drains, or has little room, is no warning."""
    level = logging.ERROR if line["level"] == "error" else logging.WARNING
    if line["event"] == "health.changed":
        level = logging.INFO
    about = ("time", "level", "event", "trace_id")
    said = ", ".join(f"{name} {value}" for name, value in line.items() if name not in about)
    _log.log(level, "%s: %s", line["event"], said)


async def _uncancelled(awaitable: Awaitable[object]) -> None:
    """Await it, to its end even when the task is cancelled meanwhile."""
    task = asyncio.ensure_future(awaitable)
    cancelled: Optional[asyncio.CancelledError] = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    task.result()
    if cancelled is not None:
        raise cancelled


class _Collector:
    """Takes what came in out of the server's store, and puts it where users look for it."""

    def __init__(
        self,
        server: Server,
        identity: Identity,
        directory: str,
        on_received: Optional[Callable[[str], object]],
    ) -> None:
        self._server, self._own_id, self._directory = server, identity.id, directory
        self._on_received = on_received
        self._client = aio.Client(identity, server_id=server.public.id, retry_for=0)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, _RECEIVED + name.rpartition("/")[2])

    async def left_behind(self) -> None:
        """What an earlier run had no time for."""
        for entry in await self._client.list(self._server.url()):
            if self._is_ours(entry.name, entry.owner) or not self._is_there(entry):
                await self._take(entry.name, entry.owner)

    def _is_ours(self, name: str, owner: bytes) -> bool:
        """May it be deleted when it was taken out?

        Only its owner may. And only a name of `SecureClient` is never that of something else by
        then.
        """
        return owner == self._own_id and _TOKEN.fullmatch(name) is not None

    def _is_there(self, entry: Any) -> bool:
        """What is not ours stays in the store: was it collected?"""
        try:
            found = os.stat(self._path(entry.name))
        except OSError:
            return False
        return bool(found.st_size == entry.size and found.st_mtime >= entry.time)

    async def collect(self, arrived: asyncio.Queue[Optional[Received]]) -> None:
        """Take out what arrives, one after the other, until None does."""
        while (received := await arrived.get()) is not None:
            if received.name is not None:
                await self._take(received.name, received.sender_id)
        try:
            await self.left_behind()  # a client may have its receipt before we are told
        except PqcError as error:
            _log.error("what came last stays in the server's store: %s", error)

    async def _take(self, name: str, owner: bytes) -> None:
        path, url = self._path(name), self._server.url(name)
        try:
            await self._client.get(url, path, replace=True)
            if self._is_ours(name, owner):
                await self._client.delete(url)
        except RefusedError:
            return  # sent twice, and taken out already
        except (PqcError, OSError) as error:
            _log.error("%s stays in the server's store: %s", name, error)
            return
        _log.info("received %s", path)
        try:
            if self._on_received is not None:
                self._on_received(path)
        except Exception:  # the user's mistake is not the server's end
            _log.exception("on_received failed")


class SecureClient:
    """Sends files to a `SecureServer`, or to any server of ours that lets this identity in."""

    def __init__(
        self,
        server_uri: str = "ws://localhost:8765",
        *,
        raise_errors: bool = False,
        retry_for: float = 10,
    ) -> None:
        """server_uri: ``ws://HOST:PORT``; wss://, pqc:// and pqcs:// work too.

        With a path it is that of a directory on a server; without, files go where a `SecureServer`
        lets this identity write. raise_errors: see `send_file`. retry_for: seconds to go on connecting
        again to a server that is away, before `send_file` fails.
        """
        self.server_uri = server_uri
        self._raise_errors, self._retry_for = raise_errors, retry_for

    def __repr__(self) -> str:
        return f"SecureClient({self.server_uri!r})"

    async def send_file(
        self, file_path: Path, metadata: Optional[Mapping[str, Any]] = None
    ) -> bool:
        """Send a file, and metadata about it, which must be possible in JSON.

        True: the server holds it durably and has signed that. False: something failed, and the
        logger ``pqc_secure_transfer`` has the reason; with raise_errors it is raised instead
        (`PqcError`, OSError, TypeError). The same call again goes on where that one stopped.
        A cancelled task ends the transfer so, too.
        """
        try:
            await self._send(os.fspath(file_path), metadata)
        except Exception as error:
            if self._raise_errors:
                raise
            _log.error("cannot send %s: %s", file_path, error)
            return False
        _log.info("sent %s", file_path)
        return True

    async def _send(self, path: str, metadata: Optional[Mapping[str, Any]]) -> None:
        # what cannot be sent must not leave its metadata behind
        with open(path, "rb"):
            pass
        described = None if metadata is None else json.dumps(dict(metadata), indent=2).encode()
        identity = await asyncio.to_thread(_own_identity)
        client = aio.Client(identity, accept_new=True, retry_for=self._retry_for)
        url = self._url(path, described, identity)
        if described is not None:
            await client.send(described, url + _METADATA)
        await client.send(path, url)

    def _url(self, path: str, described: Optional[bytes], identity: Identity) -> str:
        parts = urlsplit(self.server_uri)
        place = parts.path.strip("/") or f"{identity.id.hex()}/{_token(path, described)}"
        return f"{parts.scheme}://{parts.netloc}/{place}/{quote(os.path.basename(path))}"


def _token(path: str, described: Optional[bytes]) -> str:
    """The same for a file until it changes, so that sending it again goes on; then another."""
    found = os.stat(path)
    about = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, described)
    return hashlib.sha256(repr(about).encode()).hexdigest()
