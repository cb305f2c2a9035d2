"""The same for asyncio: every function and method that may take long, to be awaited.

    from pqc_secure_transfer import aio

    async with asyncio.timeout(600):
        await aio.send(weights, url, progress=print)

Names, arguments, results and errors are those of `pqc_secure_transfer`. The work is done in threads;
the event loop stays free. Progress and notice functions are called in the event loop's thread and
must be plain functions; what they raise ends the call and is raised by the await. Cancelling the task
ends the call, waits for its clean end, which is near, and then raises CancelledError: a transfer
goes on from there the next time. read() and write() of file-like objects run in a thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import TYPE_CHECKING, Any, Callable, Coroutine, List, Optional, TypeVar, Union

from . import client as _client
from . import sealing as _sealing
from ._call import Bridge, Call, bridge

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    from ._buffers import StrPath
    from .keys import Identity, PublicIdentity

    P = ParamSpec("P")

__all__ = [
    "Client",
    "get",
    "inspect",
    "open",
    "open_bytes",
    "rewrap",
    "seal",
    "seal_bytes",
    "send",
]

T = TypeVar("T")


class _Loop(Bridge):
    """Takes what a call tells to an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()  # of the task, for its functions
        self._call: Optional[Call] = None
        self._cancelled = False

    def started(self, call: Call) -> None:
        self._call = call
        if self._cancelled:
            call.cancel()

    def cancel(self) -> None:
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    def tell(self, function: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(self._told, function, context=self._context)

    def _told(self, function: Callable[[], None]) -> None:
        assert self._call is not None
        try:
            function()
        except BaseException as error:
            self._call.fail(error)
            if not isinstance(error, Exception):
                raise  # Ctrl-C and the like are the loop's too


async def _run(function: Callable[[], T]) -> T:
    """function() in a thread of its own, with the context of this task."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    results: List[T] = []
    raised: List[BaseException] = []
    here = _Loop()
    context = contextvars.copy_context()
    context.run(bridge.set, here)

    def body() -> None:
        try:
            results.append(context.run(function))
        except BaseException as error:
            raised.append(error)
        try:
            loop.call_soon_threadsafe(done.set_result, None)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    thread = threading.Thread(target=body, name="pqc-aio")
    thread.start()
    cancelled: Optional[asyncio.CancelledError] = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
            here.cancel()
    thread.join()  # it has nothing left to do
    if cancelled is not None:
        raise cancelled
    if raised:
        raise raised.pop()  # popped: it holds this frame
    return results[0]


def _twin(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await _run(functools.partial(function, *args, **kwargs))

    return call


def _method(
    function: Callable[Concatenate[_client.Client, P], T],
) -> Callable[Concatenate[Client, P], Coroutine[Any, Any, T]]:
    @functools.wraps(function)
    async def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _run(functools.partial(function, self._client, *args, **kwargs))

    return call


seal = _twin(_sealing.seal)
open = _twin(_sealing.open)
seal_bytes = _twin(_sealing.seal_bytes)
open_bytes = _twin(_sealing.open_bytes)
inspect = _twin(_sealing.inspect)
rewrap = _twin(_sealing.rewrap)
send = _twin(_client.send)
get = _twin(_client.get)


class Client:
    """`pqc_secure_transfer.Client` with methods to be awaited; arguments and errors are the same.

    Making one reads the default identity when none is given, and never waits for the network.
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
        self._client = _client.Client(
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

    @property
    def identity(self) -> Identity:
        """Who we are."""
        return self._client.identity

    def trust(self, host_port: str, server: Union[PublicIdentity, bytes]) -> None:
        """Pin a server, as `pqc_secure_transfer.Client.trust`; at once, nothing to await."""
        self._client.trust(host_port, server)

    def untrust(self, host_port: str) -> None:
        """Forget a pinned server, as `pqc_secure_transfer.Client.untrust`; at once."""
        self._client.untrust(host_port)

    send = _method(_client.Client.send)
    get = _method(_client.Client.get)
    get_bytes = _method(_client.Client.get_bytes)
    list = _method(_client.Client.list)
    delete = _method(_client.Client.delete)
    receipt = _method(_client.Client.receipt)
    ping = _method(_client.Client.ping)

    def __repr__(self) -> str:
        return repr(self._client)
