"""The host of a test: what ``hostel.testing`` runs a handler against. It refuses what the real host would refuse."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from hostel._errors import HttpError, PublishError
from hostel._host import Headers
from hostel._run import LogLine, Published, Run


class Double:
    """A host with rules of its own, for one run."""

    def __init__(
        self,
        config: Mapping[str, str],
        refused: Mapping[str, PublishError],
        buckets: dict[str, dict[str, bytes]],
        answers: Mapping[str, Any],
        run: Run,
    ) -> None:
        self._config = config
        self._refused = refused
        self._answers = answers
        self._run = run
        self.buckets = buckets

    def publish(self, topic: str, headers: Headers, body: bytes) -> str:
        check_topic(topic)
        check_headers(headers)
        if topic in self._refused:
            raise self._refused[topic]
        given = next((value for name, value in headers if name.lower() == "hostel-id"), None)
        # Counted, so that a test can foresee it.
        event_id = given if given is not None else f"published-{len(self._run.published) + 1}"
        self._run.published.append(Published(event_id, topic, list(headers), body))
        return event_id

    def config(self, key: str) -> str | None:
        return self._config.get(key)

    def send(self, request: Any) -> Any:
        """The answer that the test set for the URL."""
        self._run.requests.append(request)
        if request.url not in self._answers:
            raise HttpError("denied", request.url)
        return self._answers[request.url]

    def log(self, level: int, context: str, text: str) -> None:
        self._run.logs.append(LogLine(level, context, text))


_CURRENT: ContextVar[Double | None] = ContextVar("hostel_host", default=None)


def attached() -> Double | None:
    """The host of this run, if there is one."""
    return _CURRENT.get()


def current() -> Double:
    """The host of this run."""
    found = attached()
    if found is None:
        raise RuntimeError("there is no host; run the handler with `hostel.testing`")
    return found


@contextmanager
def attach(double: Double) -> Iterator[None]:
    """Gives the code within a host."""
    token = _CURRENT.set(double)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def check_topic(topic: str) -> None:
    """The host's rule for topics: 1 to 255 bytes of ``A-Z a-z 0-9 . _ -`` and no empty token."""
    size = len(topic.encode())
    if not topic:
        _invalid("topic is empty")
    if size > 255:
        _invalid(f"topic has {size} bytes, more than 255")
    if "" in topic.split("."):
        _invalid(f"topic `{topic}` has an empty token")
    if found := re.search(r"[^A-Za-z0-9._-]", topic):
        _invalid(f"topic `{topic}` has {found[0]!r}; allowed are A-Z, a-z, 0-9, ., _ and -")


def check_headers(headers: Headers) -> None:
    """The host's rule for headers: names of 1 to 256 bytes without white space and control characters, values without
    NUL, at most 128 of them and 64 KiB together."""
    for name, value in headers:
        if not 1 <= len(name.encode()) <= 256 or re.search(r"[\s\x00-\x1f\x7f-\x9f]", name):
            _invalid(f'header name "{name}" is not 1 to 256 bytes without white space and control characters')
        if "\0" in value:
            _invalid(f"the value of header `{name}` has a NUL character")
    if len(headers) > 128:
        _invalid("a message has at most 128 headers")
    if sum(len(name.encode()) + len(value.encode()) for name, value in headers) > 64 * 1024:
        _invalid("the headers of a message have at most 65536 bytes")


def _invalid(why: str) -> NoReturn:
    raise PublishError("invalid", why)
