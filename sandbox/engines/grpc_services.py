"""gRPC plumbing: services made from plain methods over the official clients' own message types.

The client packages bring the messages but no generated server classes; generic handlers need none. Every engine that
speaks gRPC describes its methods as a :class:`Service` and lets a :class:`GrpcServer` carry it, alone or with others.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import grpc

from sandbox.engines import grpc_faults
from sandbox.engines.faults import Cut, Delay, Duplicate, Failure, Faults, Refuse, carry_out, meet

Handler: TypeAlias = Any
"""A grpc.RpcMethodHandler, as grpc's factory functions make it."""

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 32 << 20
PAGING = "page_size page_token"
"""What :func:`page` reads of a request."""
README = "sandbox/engines/README.md"
"""Where it is written what the engines emulate and what they do not."""


class CallError(Exception):
    """A call that fails as the real service would fail it: a gRPC status code and a message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(message: str) -> CallError:
    """NOT_FOUND."""
    return CallError(grpc.StatusCode.NOT_FOUND, message)


def already_exists(message: str) -> CallError:
    """ALREADY_EXISTS."""
    return CallError(grpc.StatusCode.ALREADY_EXISTS, message)


def invalid_argument(message: str) -> CallError:
    """INVALID_ARGUMENT."""
    return CallError(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> CallError:
    """FAILED_PRECONDITION."""
    return CallError(grpc.StatusCode.FAILED_PRECONDITION, message)


def not_emulated(what: str) -> CallError:
    """UNIMPLEMENTED: real, but not emulated here. Loud, because a call without effect would be a false green."""
    return CallError(grpc.StatusCode.UNIMPLEMENTED, f"The sandbox does not emulate {what}; see {README}.")


def only(message: Any, known: Collection[str], what: str) -> None:
    """Raises UNIMPLEMENTED when ``message`` has a field set that is not among ``known``: it would be ignored.

    By what is known, not by what is missing, so that a field which a later client brings is refused too. ``what`` is the
    beginning of the field's name in the error.
    """
    for field, _ in raw(message).ListFields():
        if field.name not in known:
            raise not_emulated(f"{what}{field.name}")


def raw(message: Any) -> Any:
    """The protobuf message inside a proto-plus one; protobuf messages pass unchanged."""
    return type(message).pb(message) if hasattr(type(message), "pb") else message


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its request type (proto-plus or protobuf) and the function that answers ``(request, context)``.

    ``reads``: the request's fields that have an effect, separated by spaces; a request that sets another one is refused. None
    leaves it to ``answer`` to look (requests that are themselves the resource to be made). A ``streaming`` method gets an
    iterator of requests and returns one of responses.
    """

    request: Any
    answer: Callable[[Any, grpc.ServicerContext], Any]
    reads: str | None = None
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service by its full name, such as ``google.pubsub.v1.Publisher``."""

    name: str
    methods: Mapping[str, Method]

    def handlers(self, faults: Faults) -> dict[str, Handler]:
        """Path (``/service/Method``) to gRPC handler. Their calls meet with ``faults``, which learns their names."""
        faults.offer(self.methods, Refuse, Cut, Delay, Duplicate)
        return {f"/{self.name}/{name}": _handler(name, method, faults) for name, method in self.methods.items()}


def _handler(name: str, method: Method, faults: Faults) -> Handler:
    read = method.request.deserialize if hasattr(method.request, "deserialize") else method.request.FromString
    reads = None if method.reads is None else frozenset(method.reads.split())

    def unary(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            if reads is not None:
                only(request, reads, f"{name} with ")
            return carry_out(
                faults,
                lambda: grpc_faults.described(name, raw(request)),
                lambda: method.answer(request, context),
                _fail,
                lambda seconds: _sleep(seconds, context),
            )
        except CallError as error:
            _abort(context, error)

    def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            if not faults:
                yield from method.answer(requests, context)
                return
            first = next(requests)
            call = grpc_faults.described(name, raw(first))
            effect = meet(faults, call, lambda seconds: _sleep(seconds, context))
            if isinstance(effect, Refuse | Cut) and not effect.after:
                _fail(effect)
            yield from grpc_faults.bent(method.answer(itertools.chain([first], requests), context), effect, _fail)
        except CallError as error:
            _abort(context, error)

    if method.streaming:
        return grpc.stream_stream_rpc_method_handler(stream, read, _write)
    return grpc.unary_unary_rpc_method_handler(unary, read, _write)


def _fail(effect: Failure) -> NoReturn:
    if isinstance(effect, Refuse):
        raise CallError(grpc.StatusCode[effect.code], effect.message)
    raise CallError(grpc.StatusCode.UNAVAILABLE, "Socket closed")  # grpc's own words for a connection that was cut


def _sleep(seconds: float, context: grpc.ServicerContext) -> None:
    """A call whose caller has gone meanwhile (or whose server has stopped) is not carried out."""
    time.sleep(seconds)
    if not context.is_active():
        raise CallError(grpc.StatusCode.CANCELLED, "The caller has gone.")


def _write(message: Any) -> bytes:
    """Serialized; None stands for google.protobuf.Empty."""
    return b"" if message is None else bytes(raw(message).SerializeToString())


def _abort(context: grpc.ServicerContext, error: CallError) -> NoReturn:
    if error.code is grpc.StatusCode.UNIMPLEMENTED:
        logger.error("%s", error.message)
    context.abort(error.code, error.message)
    raise AssertionError("abort raises")


class _Handlers:
    """All methods of a server, as a grpc.GenericRpcHandler; a method that is missing is refused by name."""

    def __init__(self) -> None:
        self.by_path: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        path: str = handler_call_details.method
        if path in self.by_path:
            return self.by_path[path]

        def refuse(request: bytes, context: grpc.ServicerContext) -> NoReturn:
            _abort(context, not_emulated(f"the call {path}"))

        return grpc.unary_unary_rpc_method_handler(refuse)


class DaemonExecutor(futures.Executor):
    """Runs tasks in daemon threads, as many as needed, reusing idle ones.

    Unlike ThreadPoolExecutor it never delays the end of the process, and a streaming call that lives for hours does
    not take a place from others.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.SimpleQueue[tuple[futures.Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Runs ``fn`` soon; returns its future."""
        future: futures.Future[Any] = futures.Future()
        with self._lock:
            self._tasks.put((future, lambda: fn(*args, **kwargs)))
            if self._idle > 0:
                self._idle -= 1
            else:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            future, task = self._tasks.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except BaseException as error:  # handed to whoever waits for the future
                    future.set_exception(error)
            del future, task
            with self._lock:
                self._idle += 1


class GrpcServer:
    """A server on 127.0.0.1 for any number of services; ``port`` 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self._handlers = _Handlers()
        self._port = port
        self._server: grpc.Server | None = None
        self.address = ""

    def add(self, services: Sequence[Service], faults: Faults) -> None:
        """Adds services, whose calls meet with ``faults``; allowed at any time."""
        for service in services:
            self._handlers.by_path |= service.handlers(faults)

    def start(self) -> str:
        """Starts serving unless it does; returns the address ``127.0.0.1:<port>``. Raises OSError for a taken port."""
        if self._server is None:
            options = [
                ("grpc.so_reuseport", 0),  # two engines on one port must fail, not share the calls
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ]
            handlers: Any = [self._handlers]
            threads: Any = DaemonExecutor("grpc-call")  # grpc asks for a ThreadPoolExecutor and uses submit alone
            server = grpc.server(threads, handlers=handlers, options=options)
            try:
                port = server.add_insecure_port(f"127.0.0.1:{self._port}")
            except RuntimeError as error:
                raise OSError(f"port {self._port} is taken") from error
            server.start()
            self._server, self.address = server, f"127.0.0.1:{port}"
        return self.address

    def stop(self) -> None:
        """Stops serving at once, ending calls under way; may be called again."""
        if self._server is not None:
            self._server.stop(grace=0).wait(1)
            self._server = None


class GrpcEngine:
    """Base of the small engines: serves its services on a server of its own, or on one that it shares with others.

    A shared ``server`` is started by whichever engine starts first, and stopped by whoever made it. ``faults`` breaks calls on
    purpose, at any time.
    """

    def __init__(self, *, port: int = 0, server: GrpcServer | None = None) -> None:
        self._owns_server = server is None
        self._server = server or GrpcServer(port)
        self.faults = Faults()

    def services(self) -> Sequence[Service]:
        """What the engine serves."""
        raise NotImplementedError

    def start(self) -> str:
        """Starts serving; returns the address ``127.0.0.1:<port>``."""
        self._server.add(self.services(), self.faults)
        return self._server.start()

    def stop(self) -> None:
        """Stops serving; may be called again."""
        if self._owns_server:
            self._server.stop()


def page(items: Sequence[Any], request: Any, page_size: int = 100) -> tuple[Sequence[Any], str]:
    """The page of ``items`` that a List request asks for, and the next page's token. Raises INVALID_ARGUMENT."""
    try:
        start = int(request.page_token or 0)
    except ValueError:
        raise invalid_argument(f"Invalid page token given (page_token={request.page_token}).") from None
    end = start + (request.page_size or page_size)
    return items[start:end], str(end) if end < len(items) else ""
