"""Requests by ``wasi:http``: between its resources and streams and our plain values. Only a component can import this."""

from typing import Any
from urllib.parse import urlsplit

from componentize_py_types import Err, Ok

from hostel._component import bindings, case
from hostel._errors import HttpError

_handler = bindings("wasi_http_outgoing_handler_0_2_12")
_types = bindings("wasi_http_types_0_2_12")

#: Bytes that ``blocking-write-and-flush`` takes at once.
_CHUNK = 4096
#: Bytes that are asked for at once.
_READ = 64 * 1024

_DENIED = ("http-request-denied", "destination-ip-prohibited")
_INVALID = ("http-request-method-invalid", "http-request-uri-invalid")
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")


def send(request: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """The status, the headers and the body of the answer."""
    outgoing = _outgoing(request)
    body = outgoing.body()
    try:
        future = _handler.handle(outgoing, None)
    except Err as error:
        body.__exit__(None, None, None)
        raise _refusal(request.url, error.value) from None
    is_taken = _write(body, request.body)
    with future:
        with future.subscribe() as pollable:
            pollable.block()
        given = future.get()
    # What went wrong with the request says more than that its body was not wanted.
    if not isinstance(given, Ok):
        raise HttpError("failed", "the host gave no answer")
    if isinstance(given.value, Err):
        raise _refusal(request.url, given.value.value)
    with given.value.value as answer:
        if not is_taken:
            raise HttpError("failed", "the body was not taken")
        with answer.headers() as fields:
            headers = [(name, value.decode(errors="replace")) for name, value in fields.entries()]
        return answer.status(), headers, _read(answer)


def _outgoing(request: Any) -> Any:
    headers = [(name, value.encode()) for name, value in request.headers]
    if request.body:
        headers.append(("content-length", str(len(request.body)).encode()))
    scheme, separator, rest = request.url.partition("://")
    if not separator or scheme not in ("http", "https"):
        raise _invalid(f"`{request.url}` is no URL that begins with http:// or https://; it")
    url = urlsplit(request.url)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    what = "a header"
    try:
        outgoing = _types.OutgoingRequest(_types.Fields.from_list(headers))
        what = "the method"
        outgoing.set_method(_method(request.method))
        what = f"the URL `{request.url}`"
        outgoing.set_scheme(_types.Scheme_Https() if scheme == "https" else _types.Scheme_Http())
        outgoing.set_authority(url.netloc)
        outgoing.set_path_with_query(path)
    except Err:
        raise _invalid(what) from None
    return outgoing


def _method(name: str) -> Any:
    return getattr(_types, f"Method_{name.capitalize()}")() if name in _METHODS else _types.Method_Other(name)


def _write(body: Any, content: bytes) -> bool:
    """Whether the body was taken."""
    try:
        with body.write() as stream:
            for start in range(0, len(content), _CHUNK):
                stream.blocking_write_and_flush(content[start : start + _CHUNK])
    except Err:
        body.__exit__(None, None, None)
        return False
    try:
        _types.OutgoingBody.finish(body, None)
    except Err:
        return False
    return True


def _read(answer: Any) -> bytes:
    content = bytearray()
    with answer.consume() as body, body.stream() as stream:
        while True:
            try:
                content += stream.blocking_read(_READ)
            except Err as error:
                if case(error.value)[0] == "closed":
                    return bytes(content)
                raise HttpError("failed", "the answer broke off") from None


def _invalid(what: str) -> HttpError:
    return HttpError("invalid", f"{what} is malformed or may not be given")


def _refusal(url: str, code: Any) -> HttpError:
    kind, detail = case(code)
    if kind in _DENIED:
        return HttpError("denied", url)
    if kind in _INVALID:
        return _invalid(f"`{url}` or its method")
    return HttpError("failed", f"{kind}: {detail}" if detail else kind)
