"""What a handler did in a test."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal


@dataclass(frozen=True)
class Published:
    """An event that a handler published."""

    #: The id given, or ``published-1``, ``published-2`` and so on.
    id: str
    topic: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the first header with this name, whatever its case."""
        return next((value for own, value in self.headers if own.lower() == name.lower()), None)

    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class LogLine:
    """A line that a handler logged."""

    #: A level of the module ``logging``.
    level: int
    #: The logger's name.
    context: str
    text: str


@dataclass
class Run:
    """What a handler did with an event."""

    #: What becomes of the event. ``trap`` is what an exception makes that says nothing of it; ``refused`` is a deployment's.
    outcome: Literal["ack", "retry", "reject", "trap", "refused"] = "ack"
    #: Why it was not acknowledged.
    reason: str | None = None
    #: With a retry: how long the handler asked to wait.
    after: timedelta | None = None
    #: What was raised.
    error: BaseException | None = None
    published: list[Published] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)
    #: HTTP requests, also those that were denied: of ``hostel.http.Request``.
    requests: list[Any] = field(default_factory=list)
    #: Whether it acknowledged the event itself.
    acked: bool = False
    #: The times to which it moved its deadline.
    extended: list[timedelta] = field(default_factory=list)
