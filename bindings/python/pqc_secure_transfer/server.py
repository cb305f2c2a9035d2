"""A server inside a program: what `pqc serve` is, on threads of its own.

with Server("/srv/models") as server:
    server.allow(PublicIdentity.load("alice.pub"))
    print("pqc trust add", server.address, server.public.text)
    for received in server.received():
        print(received.name, received.size)
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Callable, NoReturn, Optional, Union
from urllib.parse import quote

from . import _native
from ._buffers import id_bytes, path_bytes, text_bytes
from ._serving import LEVELS, Log, Reader, Received, Run
from .errors import UsageError
from .keys import PublicIdentity

__all__ = ["Access", "Received", "Server"]

Setting = Union[str, int, bool, os.PathLike[str], Sequence[Union[str, int, os.PathLike[str]]], None]
_RESERVED = ("log-format", "passphrase-file", "config", "port-file", "pid-file", "print-config")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


class Access:
    """Who may do what on a server: its access file (docs/cli.md, `pqc trust allow`).

    Any number of programs may change one file at a time. A `Server` takes changes by its own
    methods at once, those of this class at its `reload`.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self.path = os.fspath(path)

    def __repr__(self) -> str:
        return f"Access({self.path!r})"

    def allow(
        self, public: PublicIdentity, rights: Optional[str] = None, pattern: Optional[str] = None
    ) -> None:
        """Add a line for an identity; several lines add up.

        rights: some of ``"put,get,list,delete"``, or ``"all"``; None: ``"put,get,list"``.
        pattern: the names where that holds: ``*`` within a component, ``**`` at the end for all
        below it, ``{id}`` for the identity's id; None: every name. `UsageError`: not understood.
        """
        error = _native.pqc_error()
        with _public_object(public) as who:
            _native.check(
                _native.lib.pqc_access_allow(
                    path_bytes(self.path),
                    who,
                    _optional(rights, "rights"),
                    _optional(pattern, "pattern"),
                    ctypes.byref(error),
                ),
                error,
            )

    def deny(self, identity: Union[PublicIdentity, bytes]) -> None:
        """Remove every line of an identity, given by itself or its id.

        `NotFoundError`: there is none.
        """
        error = _native.pqc_error()
        _native.check(
            _native.lib.pqc_access_deny(
                path_bytes(self.path), id_bytes(identity, "the identity"), ctypes.byref(error)
            ),
            error,
        )

    def knows(self, identity: Union[PublicIdentity, bytes]) -> bool:
        """Whether there is a line of this identity."""
        digits = id_bytes(identity, "the identity").hex()
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return any(line.split()[:1] == [digits] for line in file)
        except FileNotFoundError:
            return False


class Server:
    """A server on threads of its own, from `start`, or ``with``, until `stop`.

    Methods may be called from any thread. A server that was stopped can be started again.
    """

    def __init__(
        self,
        data_dir: Union[str, os.PathLike[str]],
        listen: Union[str, Sequence[str]] = "127.0.0.1:0",
        *,
        passphrase: Optional[str] = None,
        log: Optional[Log] = None,
        on_received: Optional[Callable[[Received], object]] = None,
        **settings: Setting,
    ) -> None:
        """What it will be; nothing happens before `start`.

        data_dir: what it stores, with what it makes at its first start: identity,
        key-encryption key. listen: ``"ADDR:PORT"``, or several; port 0 takes a free one.
        passphrase: of the identity's file. log: a `logging.Logger`, or what is called with each
        line of the log (docs/observability.md) as a dict. on_received: is called with each object
        that has been stored.

        log and on_received are called one at a time on a thread of their own, in order; they may
        call anything but `stop`. What they raise is logged (``pqc_secure_transfer``).

        Other settings are the options of `pqc serve` (docs/cli.md), with ``_`` for ``-``:
        ``max_transfers=10``, ``min_free="1G"``, ``no_metrics=True``, ``allow_origin=[...]``; None
        leaves one out. Environment and configuration file are not read.
        """
        self._listen = [listen] if isinstance(listen, str) else list(listen)
        self._data_dir = os.fspath(data_dir)
        self._settings = {name.replace("_", "-"): value for name, value in settings.items()}
        for name in _RESERVED:
            if name in self._settings:
                raise TypeError(f"{name.replace('-', '_')} is not a setting of Server")
        level = self._settings.pop("log-level", None) or "info"
        if level not in LEVELS:
            raise UsageError(f"log_level {level!r}: must be one of {', '.join(LEVELS)}")
        self._level = str(level)
        self._names = bool(self._settings.pop("log-names", False))
        self._passphrase = passphrase
        self._user_log, self._on_received = log, on_received
        access_file = self._settings.get("access-file")
        self.access = Access(
            access_file
            if isinstance(access_file, (str, os.PathLike))
            else os.path.join(self._data_dir, "authorized")
        )
        self._control = threading.Lock()  # one start, stop or reload at a time
        self._run: Optional[Run] = None

    def __repr__(self) -> str:
        where = self._run.addresses if self._run is not None else self._listen
        return f"Server({self._data_dir!r}, {where})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Server is not copied or pickled")

    # ---- life ----

    def start(self) -> None:
        """Listen, and serve on a thread of its own. `PqcError`: why that is not possible."""
        with self._control:
            if self._run is not None:
                raise RuntimeError("the server runs already")
            self._run = Run(
                self._lines_of_settings(),
                self._passphrase,
                Reader(self._user_log, LEVELS[self._level], self._names, self._on_received),
            )

    def stop(self, drain: bool = True) -> bool:
        """End, and wait for the end.

        drain: let transfers come to their end, at most for the setting drain_timeout (30 s); what
        is not finished then can be resumed from. False: some transfers were ended. Whatever made
        the server end by itself is raised. A server that does not run: True.
        """
        run = self._run
        if run is None:
            return True
        if run.reader.is_this_thread():
            raise RuntimeError(
                "log and on_received cannot stop their server: they would wait for " "themselves"
            )
        try:
            return run.stop(drain)
        finally:
            with self._control:
                self._run = None if self._run is run and run.ended() else self._run

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait until the server ends, or for so many seconds; whether it ended."""
        run = self._run
        return run is None or run.wait(timeout)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reload(self) -> None:
        """Read access file and certificate again, and wait until that is done.

        RuntimeError: one of them is wrong, and everything is as it was.
        """
        with self._control:
            self._running().reload()

    # ---- what it is ----

    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError("the server does not run: start() it")
        return self._run

    @property
    def addresses(self) -> list[str]:
        """``"127.0.0.1:8765"``: where it listens, with the port that was taken."""
        return list(self._running().addresses)

    @property
    def address(self) -> str:
        """The first of `addresses`."""
        return self._running().addresses[0]

    @property
    def public(self) -> PublicIdentity:
        """The server's identity, for clients to know it by."""
        return self._running().public

    def url(self, name: str = "") -> str:
        """The URL of a name on this server, for clients on this machine."""
        host, _, port = self.address.rpartition(":")
        scheme = "pqcs" if self._settings.get("tls-cert") else "pqc"
        return f"{scheme}://{_ANYWHERE.get(host, host)}:{port}/{quote(name)}"

    # ---- who may use it ----

    def allow(
        self, public: PublicIdentity, rights: Optional[str] = None, pattern: Optional[str] = None
    ) -> None:
        """`Access.allow`, in force when it returns. The server need not run."""
        os.makedirs(os.path.dirname(os.path.abspath(self.access.path)), mode=0o700, exist_ok=True)
        self.access.allow(public, rights, pattern)
        self._reload_if_running()

    def deny(self, identity: Union[PublicIdentity, bytes]) -> None:
        """`Access.deny`, in force for new requests when it returns."""
        self.access.deny(identity)
        self._reload_if_running()

    def _reload_if_running(self) -> None:
        with self._control:
            if self._run is not None and not self._run.ended():
                self._run.reload()

    # ---- what comes in ----

    def received(self) -> Iterator[Received]:
        """What is stored from this call on, one after the other, until the server ends."""
        return self._running().reader.subscribe()

    def _lines_of_settings(self) -> list[bytes]:
        # the log is what tells of objects and reloads: what is not wanted in it is left out here
        everything = {
            "data-dir": self._data_dir,
            "listen": self._listen,
            "log-names": True,
            "log-level": "debug" if self._level == "debug" else "info",
            **self._settings,
        }
        lines = []
        for name, value in everything.items():
            several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
            for each in value if several else [value]:  # type: ignore[union-attr]
                if each is not None:
                    lines.append(_setting(name, each))
        return lines


def _setting(name: str, value: object) -> bytes:
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
    else:
        raise TypeError(f"{name}: is a str, int, bool or path, not {type(value).__name__}")
    return text_bytes(f"{name}={text}", name)


def _optional(value: Optional[str], what: str) -> Optional[bytes]:
    return None if value is None else text_bytes(value, what)


@contextlib.contextmanager
def _public_object(public: PublicIdentity) -> Iterator[ctypes.c_void_p]:
    """An object of the library's, for one call."""
    if not isinstance(public, PublicIdentity):
        raise TypeError(f"a PublicIdentity is needed, not {type(public).__name__}")
    line, error = public.text.encode(), _native.pqc_error()
    who = ctypes.c_void_p()
    _native.check(
        _native.lib.pqc_public_parse(line, len(line), ctypes.byref(who), ctypes.byref(error)), error
    )
    try:
        yield who
    finally:
        _native.lib.pqc_public_free(who)
