"""Running one call of the library so that Python stays alive meanwhile.

    with Call(progress, notice) as call:
        source = call.source(thing)
        call.run(lib.pqc_seal, byref(source), ..., call.control, byref(result))

`run` lets the C function work in a thread of its own while the caller's thread waits where Ctrl-C
reaches it. The caller's progress and notice functions run in the caller's thread; a file-like
object's read() and write() run in the call's. Whatever is raised anywhere sets the cancel flag,
the C function comes to its clean end, and then it is raised to the caller, unchanged.

asyncio: in the context of a `Bridge` the caller's thread is one of aio's, made for this call, so
the C function runs in it directly, and the bridge takes progress to the event loop.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from contextvars import ContextVar
from ctypes import byref
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type, Union

from . import _native, _streams
from ._buffers import Memory, SecretCopy
from ._progress import Progress
from .errors import PqcError

if TYPE_CHECKING:
    from ._buffers import Buffer, Secret
    from ._streams import Sink, Source

    ProgressFunction = Callable[[Progress], Any]
    NoticeFunction = Callable[[str, str], Any]

_SLEEP = 0.5  # seconds

_lib = _native.lib


class Bridge:
    """Takes what a call tells to somewhere else than the thread that waits for it.

    For one call: those that its callbacks make, in this context too, are ordinary ones.
    """

    taken = False

    def started(self, call: Call) -> None:
        """The call can be cancelled from now on."""
        raise NotImplementedError

    def tell(self, function: Callable[[], None]) -> None:
        """Call function soon, and `Call.fail` with what it raises."""
        raise NotImplementedError


bridge: ContextVar[Optional[Bridge]] = ContextVar("pqc_secure_transfer_bridge", default=None)


def _free_bridge() -> Optional[Bridge]:
    found = bridge.get()
    if found is None or found.taken:
        return None
    found.taken = True
    return found


class Call:
    """One call, with everything that must live until it is over."""

    def __init__(
        self,
        progress: Optional[ProgressFunction] = None,
        notice: Optional[NoticeFunction] = None,
    ) -> None:
        for function, name in ((progress, "progress"), (notice, "notice")):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function, not {type(function).__name__}")
        self._progress, self._notice = progress, notice
        self._bridge = _free_bridge()
        self._held: List[Any] = []  # with release(), in the order they were made
        self._kept: List[Any] = []
        self._events: SimpleQueue[Optional[Callable[[], None]]] = SimpleQueue()
        self._newest: Optional[Progress] = None
        self._told = True  # there is no newest that the caller was not told of
        self._raised: Optional[BaseException] = None
        self._ended = True
        self._cancelled = False
        self._cancel_lock = threading.Lock()  # another thread may cancel while we come to our end
        self._cancel = ctypes.c_void_p()
        error = _native.pqc_error()
        _native.check(_lib.pqc_cancel_new(byref(self._cancel), byref(error)), error)
        self._control = _native.init(_native.pqc_control())
        self._control.cancel = self._cancel.value
        self._control.progress = _native.PROGRESS(self._on_progress)
        self._control.notice = _native.NOTICE(self._on_notice)

    # ---- what a call is made of ----

    @property
    def control(self) -> Any:
        """The pqc_control to give to the C function."""
        return byref(self._control)

    def keep(self, thing: Any) -> Any:
        """thing itself, alive until the call is over."""
        self._kept.append(thing)
        return thing

    def hold(self, thing: Any) -> Any:
        """thing itself; its release() is called when the call is over."""
        self._held.append(thing)
        return thing

    def source(self, thing: Source) -> Any:
        """A pqc_source for a path, a buffer, or something with read()."""
        return self.hold(_streams.source(thing, self.fail, self.is_cancelled)).struct

    def sink(self, thing: Sink, replace: bool = False) -> Any:
        """A pqc_sink for a path, a writable buffer, or something with write()."""
        return self.hold(_streams.sink(thing, replace, self.fail)).struct

    def memory(self, thing: Buffer) -> Memory:
        """The memory of a buffer, to read from."""
        memory: Memory = self.hold(Memory(thing))
        return memory

    def secret(
        self, value: Union[Secret, Buffer, None], what: str, size: Optional[int] = None
    ) -> Optional[int]:
        """The address of a copy of a secret, wiped when the call is over; None for None."""
        if value is None:
            return None
        copy: SecretCopy = self.hold(SecretCopy(value, what, size))
        return copy.address

    # ---- running it ----

    def cancel(self) -> None:
        """End the call soon, resumably; one that is over it leaves alone. Any thread."""
        self._cancelled = True
        with self._cancel_lock:
            if self._cancel:
                _lib.pqc_cancel_set(self._cancel)

    def is_cancelled(self) -> bool:
        """Is it to end? Any thread."""
        return self._cancelled

    def fail(self, error: BaseException) -> None:
        """End the call, which then raises error; the first one counts. Any thread."""
        if self._raised is None:
            self._raised = error
        self.cancel()

    def run(self, function: Callable[..., int], *args: Any) -> None:
        """Call function(*args, &error) and wait for its end; raises what went wrong."""
        error = _native.pqc_error()
        result: List[int] = []

        def work() -> None:
            result.append(function(*args, byref(error)))

        if self._bridge is not None:
            self._bridge.started(self)
            self._in_this_thread(work)
        elif sys.is_finalizing():  # no thread starts any more
            self._in_this_thread(work)
        else:
            self._in_a_thread(work)
        if self._raised is not None:
            try:
                raise self._raised
            finally:
                self._raised = None  # else the traceback and the call keep each other
        _native.check(result[0], error)
        for thing in self._held:
            if isinstance(thing, _streams.Stream):
                thing.finished = True

    def _in_this_thread(self, work: Callable[[], None]) -> None:
        self._ended = False
        try:
            work()
        finally:
            self._ended = True

    def _in_a_thread(self, work: Callable[[], None]) -> None:
        go: SimpleQueue[bool] = SimpleQueue()

        def body() -> None:
            try:
                if go.get():
                    work()
            except BaseException as error:  # only ctypes itself: a wrong argument
                self.fail(error)
            finally:
                self._ended = True
                self._events.put(None)

        thread = threading.Thread(target=body, name="pqc-call")
        started = False
        # Ctrl-C may arise between any two steps here. Without a go the thread does nothing.
        try:
            self._ended = False
            thread.start()
            started = True
            go.put(True)
            self._serve()
            thread.join()
        except BaseException as error:
            self._raised = error
            self.cancel()
            go.put(started)
            if started:
                self._outlast()
                thread.join()
            else:
                self._ended = True

    def _serve(self) -> None:
        """Run the caller's functions until the call is over."""
        while True:
            try:
                # With a limit: a signal between Python's look at signals and its sleep wakes nobody.
                event = self._events.get(timeout=_SLEEP)
            except Empty:
                continue
            if event is None:
                return
            event()

    def _outlast(self) -> None:
        """Wait for the call's end, which is near, whatever else happens."""
        while not self._ended:
            try:
                while self._events.get() is not None:
                    pass
            except BaseException:  # Ctrl-C again: it is ending already
                continue

    # ---- from C ----

    def _tell(self, function: Callable[[], None]) -> None:
        if self._bridge is not None:
            self._bridge.tell(function)
        else:
            self._events.put(function)

    def _on_progress(self, arg: Optional[int], pointer: Any) -> int:
        try:
            if self._progress is not None:
                self._newest = Progress._of(pointer.contents)
                if self._told:
                    self._told = False
                    self._tell(self._tell_progress)
        except BaseException as error:
            self.fail(error)
        return int(self._raised is not None)

    def _tell_progress(self) -> None:
        # Cleared first: what comes in meanwhile is told again.
        self._told = True
        if self._newest is not None and self._progress is not None:
            self._progress(self._newest)

    def _on_notice(self, arg: Optional[int], event: bytes, text: bytes) -> None:
        try:
            notice = self._notice
            if notice is not None:
                said = event.decode("utf-8", "replace"), text.decode("utf-8", "replace")
                self._tell(lambda: notice(*said))
        except BaseException as error:
            self.fail(error)

    # ---- its end ----

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        # Not ended: Ctrl-C broke even the last wait. The thread keeps all that C uses, and us.
        if self._ended:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        failed: Optional[BaseException] = None
        for thing in reversed(held):
            try:
                thing.release()
            except BaseException as error:
                failed = failed or error
        self._kept.clear()
        self._control.progress = _native.PROGRESS()  # they hold us: no cycle is left behind
        self._control.notice = _native.NOTICE()
        with self._cancel_lock:
            cancel, self._cancel = self._cancel, ctypes.c_void_p()
            _lib.pqc_cancel_free(cancel)
        if failed is not None:
            raise failed
