"""A test double of the host: runs a handler in a plain unit test and tells what it did::

    from hostel import testing

    run = testing.run(handle, testing.Event("orders.created", body=b"{}"))
    assert run.outcome == "reject"

It refuses a malformed topic or header as the host does, and takes every topic unless told otherwise. What the manifest
allows, deadlines and memory limits are known to the host alone.
"""

import json as _json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hostel import _double, _handler
from hostel._errors import Failure, PublishError, SettleError
from hostel.http import Request, Response
from hostel._run import LogLine, Published, Run

__all__ = ["Event", "Host", "LogLine", "Published", "Request", "Response", "Run", "run"]

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Event:
    """An event to be delivered. Everything but the topic has a default."""

    topic: str
    body: bytes | str = b""
    #: A value as JSON for a body, with a header ``Content-Type`` that says so.
    json: Any = None
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    id: str = "00000000-0000-7000-8000-000000000001"
    attempt: int = 1
    published_at: datetime = _EPOCH
    last_error: str | None = None


class Host:
    """A host with rules of its own. Only its key-value buckets last from one run to the next."""

    def __init__(
        self,
        *,
        config: Mapping[str, str] | None = None,
        deny: Iterable[str] = (),
        refuse: Mapping[str, PublishError] | None = None,
        respond: Mapping[str, Response] | None = None,
    ) -> None:
        """``deny`` names topics on which the handler may not publish, ``refuse`` those on which it fails otherwise.

        ``respond`` has the answers to HTTP requests, by URL; a request to any other is denied.
        """
        self._answers = dict(respond or {})
        self._config = dict(config or {})
        self._refused = dict(refuse or {})
        for topic in deny:
            text = f'add "{topic}" to `publish` in the handler\'s manifest'
            self._refused[topic] = PublishError("denied", text)
        self._buckets: dict[str, dict[str, bytes]] = {}

    def run(self, handle: _handler.Handle, event: Event) -> Run:
        """Delivers an event to a handler."""
        run = Run()
        with self._attached(run):
            _tell(run, _handler.run(handle, _Delivery(event, run)))
        return run

    def init(self, prepare: _handler.Init) -> Run:
        """Calls the function of ``@hostel.init``. Its outcome is ``ack`` or ``refused``."""
        run = Run()
        with self._attached(run):
            _tell(run, _handler.attempt(prepare))
        if run.error is not None:
            run.outcome = "refused"
        return run

    def _attached(self, run: Run) -> Any:
        return _double.attach(_double.Double(self._config, self._refused, self._buckets, self._answers, run))


def run(handle: _handler.Handle, event: Event) -> Run:
    """Delivers an event to a handler, with a host without config that takes every topic."""
    return Host().run(handle, event)


def _tell(run: Run, failed: tuple[Failure, BaseException] | None) -> None:
    if failed is not None:
        failure, run.error = failed
        run.outcome = failure.outcome if failure.meant else "trap"
        run.reason, run.after = failure.reason, failure.after


class _Delivery:
    def __init__(self, event: Event, run: Run) -> None:
        if event.json is not None and event.body:
            raise TypeError("an event has `json` or `body`, not both")
        if event.attempt < 1:
            raise ValueError("attempts are counted from 1")
        self._event = event
        self._run = run

    def id(self) -> str:
        return self._event.id

    def topic(self) -> str:
        return self._event.topic

    def attempt(self) -> int:
        return self._event.attempt

    def published_at_ms(self) -> int:
        return (self._event.published_at - _EPOCH) // timedelta(milliseconds=1)

    def headers(self) -> list[tuple[str, str]]:
        headers = self._event.headers
        entries = list(headers.items() if isinstance(headers, Mapping) else headers)
        if self._event.json is not None and all(name.lower() != "content-type" for name, _ in entries):
            entries.insert(0, ("Content-Type", "application/json"))
        return entries

    def body(self) -> bytes:
        body = _json.dumps(self._event.json) if self._event.json is not None else self._event.body
        return body.encode() if isinstance(body, str) else body

    def error(self) -> str | None:
        return self._event.last_error

    def ack(self) -> None:
        if self._run.acked:
            raise SettleError("already-settled")
        self._run.acked = True

    def extend(self, ms: int) -> None:
        self._run.extended.append(timedelta(milliseconds=ms))
