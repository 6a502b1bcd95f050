"""HTTP requests to other servers. A component imports ``wasi:http`` only if its author imports this module.

The manifest must name the server: ``http = ["https://api.example.com"]``. A request is sent when it is sent: unlike what a
handler publishes, it does not wait for the acknowledgement, and another attempt sends it again. The wait for an answer
counts to the handler's deadline. Redirects are answers like others::

    answer = hostel.http.send("GET", f"https://api.example.com/items/{number}")
    if answer.status == 404:
        raise hostel.Reject(f"there is no item {number}")
"""

import json as _json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hostel import _host
from hostel._errors import HttpError
from hostel._event import Headers

__all__ = ["HttpError", "Request", "Response", "send"]


@dataclass(frozen=True)
class Request:
    """A request, as a test sees it."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Response:
    """What was answered, whatever its status."""

    status: int
    headers: Headers = Headers(())
    body: bytes = b""

    def text(self) -> str:
        """The body as text. Raises :class:`HttpError` when it is not UTF-8."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise HttpError("failed", f"the answer is not UTF-8 text: {error.reason} at byte {error.start}") from None

    def json(self) -> Any:
        """The body as JSON. Raises :class:`HttpError` when it is not JSON."""
        text = self.text()
        try:
            return _json.loads(text)
        except (ValueError, RecursionError) as error:
            raise HttpError("failed", f"the answer is not JSON: {error}") from None


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes | str = b"",
) -> Response:
    """Sends a request and waits for the whole answer. Raises :class:`HttpError`; a status that stands for a failure is
    none."""
    entries = list(headers.items() if isinstance(headers, Mapping) else headers)
    request = Request(method, url, entries, body.encode() if isinstance(body, str) else bytes(body))
    if _host.IN_COMPONENT:
        from hostel import _component_http

        status, given, answer = _component_http.send(request)
        return Response(status, Headers(given), answer)
    from hostel import _double

    response: Response = _double.current().send(request)
    return response
