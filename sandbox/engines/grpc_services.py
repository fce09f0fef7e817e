"""gRPC plumbing: services made from plain methods over the official clients' own message types.

The client packages bring the messages but no generated server classes; generic handlers need none. Every engine that
speaks gRPC describes its methods as a :class:`Service` and lets a :class:`GrpcServer` carry it, alone or with others.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import grpc

Handler: TypeAlias = Any
"""A grpc.RpcMethodHandler, as grpc's factory functions make it."""

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 32 << 20


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
    return CallError(grpc.StatusCode.UNIMPLEMENTED, f"The sandbox does not emulate {what}.")


def raw(message: Any) -> Any:
    """The protobuf message inside a proto-plus one; protobuf messages pass unchanged."""
    return type(message).pb(message) if hasattr(type(message), "pb") else message


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its request type (proto-plus or protobuf) and the function that answers ``(request, context)``.

    A ``streaming`` method gets an iterator of requests and returns one of responses.
    """

    request: Any
    answer: Callable[[Any, grpc.ServicerContext], Any]
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service by its full name, such as ``google.pubsub.v1.Publisher``."""

    name: str
    methods: Mapping[str, Method]

    def handlers(self) -> dict[str, Handler]:
        """Path (``/service/Method``) to gRPC handler."""
        return {f"/{self.name}/{name}": _handler(method) for name, method in self.methods.items()}


def _handler(method: Method) -> Handler:
    read = method.request.deserialize if hasattr(method.request, "deserialize") else method.request.FromString

    def unary(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method.answer(request, context)
        except CallError as error:
            _abort(context, error)

    def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from method.answer(requests, context)
        except CallError as error:
            _abort(context, error)

    if method.streaming:
        return grpc.stream_stream_rpc_method_handler(stream, read, _write)
    return grpc.unary_unary_rpc_method_handler(unary, read, _write)


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

    def add(self, services: Sequence[Service]) -> None:
        """Adds services; allowed at any time."""
        for service in services:
            self._handlers.by_path |= service.handlers()

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

    A shared ``server`` is started by whichever engine starts first, and stopped by whoever made it.
    """

    def __init__(self, *, port: int = 0, server: GrpcServer | None = None) -> None:
        self._owns_server = server is None
        self._server = server or GrpcServer(port)

    def services(self) -> Sequence[Service]:
        """What the engine serves."""
        raise NotImplementedError

    def start(self) -> str:
        """Starts serving; returns the address ``127.0.0.1:<port>``."""
        self._server.add(self.services())
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
