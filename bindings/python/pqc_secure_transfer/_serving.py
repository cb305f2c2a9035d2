"""A server of the library from its start to its end, and what it says meanwhile."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import logging
import queue
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

from . import _native
from ._buffers import SecretCopy
from .errors import TemporaryError
from .keys import PublicIdentity

__all__ = ["LEVELS", "Log", "Reader", "Received", "Run"]

Log = Union[logging.Logger, Callable[[Mapping[str, Any]], object]]

_log = logging.getLogger("pqc_secure_transfer")

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_MAX_LINES = 65536  # of the log, waiting for a slow reader
_RELOAD_SECONDS = 30.0  # a server that did not read its files again by then never will


@dataclass(frozen=True)
class Received:
    """An object that a server has stored, durably."""

    name: Optional[str]
    """Its name; None when it is so long that the log had to cut it."""
    size: int
    """Bytes of plaintext."""
    sender_id: bytes
    """The id of who signed and sent it, 32 bytes."""
    file_id: bytes
    """What tells this version from others of the same name, 32 bytes."""
    seconds: float
    """From the beginning of its (last) connection to the end."""


class Reader:
    """Takes the log's lines from the server's threads, and hands them on by a thread of its own."""

    def __init__(
        self,
        log: Optional[Log],
        level: int,
        names: bool,
        on_received: Optional[Callable[[Received], object]],
    ) -> None:
        self._log, self._level, self._names, self._on_received = log, level, names, on_received
        self._lines: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()
        self._dropped = 0
        self._lock = threading.Lock()
        self._subscribers: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._ended = False
        self.reloads = threading.Condition()
        self.reload_results: list[Optional[str]] = []  # None: done; else why not
        self._thread = threading.Thread(target=self._work, name="pqc-server-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, _arg: object, line: int, size: int) -> None:
        """Is called by the server's threads, two at a time too."""
        text = ctypes.string_at(line, size)
        about = text[:128]
        if b'"event":"reload.done"' in about or b'"event":"reload.failed"' in about:
            self._reloaded(text)
        if self._lines.qsize() >= _MAX_LINES and b'"event":"put.done"' not in about:
            self._dropped += 1
            return
        self._lines.put(text)

    def _reloaded(self, text: bytes) -> None:
        line = json.loads(text)
        with self.reloads:
            self.reload_results.append(
                None if line["event"] == "reload.done" else str(line.get("reason", "?"))
            )
            self.reloads.notify_all()

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        with self._lock:
            if self._ended:
                subscription.put(None)
            self._subscribers.add(subscription)
        return subscription

    def end(self) -> None:
        """After the server's last line."""
        with self.reloads:
            self._ended = True
            self.reloads.notify_all()
        self._lines.put(None)
        self._thread.join()

    def ended(self) -> bool:
        return self._ended

    def is_this_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def _work(self) -> None:
        while True:
            text = self._lines.get()
            if text is None:
                break
            try:
                self._hand_on(json.loads(text))
            except Exception:  # the user's mistake is not the server's end
                _log.exception("a server's log or on_received failed")
        with self._lock:
            for subscription in list(self._subscribers):
                subscription.put(None)

    def _hand_on(self, line: dict[str, Any]) -> None:
        received = _received(line) if line.get("event") == "put.done" else None
        if received is not None:
            with self._lock:
                for subscription in list(self._subscribers):
                    subscription.put(received)
        try:
            if self._log is not None:
                self._tell(line)
        finally:
            if received is not None and self._on_received is not None:
                self._on_received(received)

    def _tell(self, line: dict[str, Any]) -> None:
        level = LEVELS.get(line.get("level", ""), logging.ERROR)
        if level < self._level:
            return
        if not self._names:
            line.pop("name", None)
        if self._dropped:
            line["dropped"], self._dropped = line.get("dropped", 0) + self._dropped, 0
        if isinstance(self._log, logging.Logger):
            self._log.log(level, "%s", json.dumps(line))
        elif self._log is not None:
            self._log(line)


def _received(line: Mapping[str, Any]) -> Received:
    return Received(
        name=None if line.get("cut") else line.get("name"),
        size=int(line["bytes"]),
        sender_id=bytes.fromhex(line["client_id"]),
        file_id=bytes.fromhex(line["file_id"]),
        seconds=float(line["milliseconds"]) / 1000,
    )


class Subscription(Iterator[Received]):
    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Optional[Received]] = queue.SimpleQueue()
        self._ended = False

    def put(self, received: Optional[Received]) -> None:
        self._queue.put(received)

    def __next__(self) -> Received:
        received = None if self._ended else self._queue.get()
        if received is None:
            self._ended = True
            raise StopIteration
        return received


_running: weakref.WeakSet[Run] = weakref.WeakSet()


class Run:
    """A server of the library from its start to its end."""

    def __init__(
        self, settings: Sequence[bytes], passphrase: Optional[str], reader: Reader
    ) -> None:
        self.reader = reader
        self._callback = _native.LOG(reader.take)  # alive as long as the server
        self._server = ctypes.c_void_p()
        self._lock = threading.Lock()  # around the last use of _server
        self._error: Optional[BaseException] = None
        self._stopped = False
        self._make(settings, passphrase)
        self.addresses = self._find_addresses()
        text = _native.lib.pqc_public_text(_native.lib.pqc_server_public(self._server))
        self.public = PublicIdentity.parse(text.decode())
        self._thread = threading.Thread(target=self._serve, name="pqc-server", daemon=True)
        _running.add(self)
        reader.start()
        self._thread.start()

    def _make(self, settings: Sequence[bytes], passphrase: Optional[str]) -> None:
        options, error = _native.init(_native.pqc_server_options()), _native.pqc_error()
        options.settings = (ctypes.c_char_p * len(settings))(*settings)
        options.setting_count = len(settings)
        options.log = self._callback
        with contextlib.ExitStack() as stack:
            if passphrase is not None:
                secret = stack.enter_context(SecretCopy(passphrase, "passphrase"))
                options.passphrase = secret.address
            _native.check(
                _native.lib.pqc_server_new(
                    ctypes.byref(options), ctypes.byref(self._server), ctypes.byref(error)
                ),
                error,
            )

    def _find_addresses(self) -> list[str]:
        found: list[str] = []
        while True:
            address = _native.lib.pqc_server_address(self._server, len(found))
            if address is None:
                return found
            found.append(address.decode())

    def _serve(self) -> None:
        error = _native.pqc_error()
        result = _native.lib.pqc_server_run(self._server, ctypes.byref(error))
        try:
            _native.check(result, error)
        except Exception as failure:
            self._error = failure
        with self._lock:
            server, self._server = self._server, ctypes.c_void_p()
        _native.lib.pqc_server_free(server)
        self.reader.end()

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, timeout: Optional[float]) -> bool:
        self._thread.join(timeout)
        return self.ended()

    def _ask_to_stop(self, times: int) -> None:
        with self._lock:
            if self._server:
                self._stopped = True
                for _ in range(times):
                    _native.lib.pqc_server_stop(self._server)

    def stop(self, drain: bool) -> bool:
        self._ask_to_stop(1 if drain else 2)
        try:
            self._thread.join()
        except BaseException:  # Ctrl-C: who waits for the drain has waited long enough
            self._ask_to_stop(2)
            self._thread.join()
            raise
        if self._stopped and isinstance(self._error, TemporaryError):
            return False
        if self._error is not None:
            raise self._error
        return True

    def reload(self) -> None:
        reader = self.reader
        with reader.reloads:
            before = len(reader.reload_results)
            with self._lock:
                if self._server:
                    _native.lib.pqc_server_reload(self._server)
            if not reader.reloads.wait_for(
                lambda: len(reader.reload_results) > before or reader.ended(), _RELOAD_SECONDS
            ):
                raise RuntimeError("the server did not read its files again in time")
            failed = reader.reload_results[before:]
            del reader.reload_results[:]
        if failed and failed[0] is not None:
            raise RuntimeError(f"the server keeps what it had: {failed[0]}")


@atexit.register
def _stop_all() -> None:
    """The interpreter must not end under the library's threads, which call it to log."""
    for run in list(_running):
        if not run.ended():
            run._ask_to_stop(2)
            run.wait(None)
