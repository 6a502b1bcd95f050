"""The event that is being delivered."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from hostel import _host
from hostel._cloud_event import CloudEvent, read_cloud_event
from hostel._errors import BodyError, milliseconds

_EPOCH = datetime.fromtimestamp(0, UTC)


class Headers:
    """Name and value of each header, in order. Names compare without regard to ASCII case and may repeat."""

    def __init__(self, entries: _host.Headers) -> None:
        self._entries = [(name, value) for name, value in entries]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the first header with this name."""
        return next(iter(self.get_all(name)), default)

    def get_all(self, name: str) -> list[str]:
        """The values of all headers with this name, in order."""
        return [value for own, value in self._entries if _folded(own) == _folded(name)]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Headers({self._entries!r})"


def _folded(name: str) -> bytes:
    # Of bytes only ASCII letters are folded, as the host does it.
    return name.encode().lower()


class Event:
    """One delivery of an event, lent for the length of one call of the handler.

    What it tells is asked of the host when it is read for the first time; afterwards only that stays readable.
    """

    def __init__(self, delivery: _host.Delivery) -> None:
        self._delivery: _host.Delivery | None = delivery

    @cached_property
    def id(self) -> str:
        """The event's id, the same in every attempt."""
        return self._lent().id()

    @cached_property
    def topic(self) -> str:
        """The topic it was published on."""
        return self._lent().topic()

    @cached_property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self._lent().attempt()

    @cached_property
    def published_at(self) -> datetime:
        """When it was published, in UTC, to the millisecond."""
        return _EPOCH + timedelta(milliseconds=self._lent().published_at_ms())

    @cached_property
    def headers(self) -> Headers:
        """All headers."""
        return Headers(self._lent().headers())

    @cached_property
    def body(self) -> bytes:
        """The body."""
        return self._lent().body()

    @cached_property
    def last_error(self) -> str | None:
        """Why the last attempt failed; ``None`` in the first."""
        return self._lent().error()

    def text(self) -> str:
        """The body as text. Raises :class:`BodyError` when it is not UTF-8."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise BodyError(f"the body is not UTF-8 text: {error.reason} at byte {error.start}") from None

    def json(self) -> Any:
        """The body as JSON. Raises :class:`BodyError` when it is not JSON."""
        text = self.text()
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BodyError(f"the body is not JSON: {error}") from None

    def cloud_event(self) -> CloudEvent:
        """The event as a CloudEvent 1.0. Raises :class:`CloudEventError` when it is none."""
        event = read_cloud_event(self.headers)
        event.data = self.body
        return event

    def ack(self) -> None:
        """Acknowledges the event now, before the handler returns.

        From then on a failure of this delivery reaches the logs only, and nothing makes the event come again. Raises
        :class:`SettleError`.
        """
        self._lent().ack()

    def extend(self, time: timedelta) -> None:
        """Moves the deadline of this delivery to ``time`` from now, if that is later than it was.

        Raises :class:`SettleError` beyond what the host allows, by default ten times the handler's deadline in all.
        """
        if time < timedelta(0):
            raise ValueError(f"a deadline is not moved by a negative time: {time}")
        self._lent().extend(milliseconds(time))

    def __repr__(self) -> str:
        return f"<Event {self.id} on {self.topic}, attempt {self.attempt}>"

    def _lent(self) -> _host.Delivery:
        if self._delivery is None:
            raise RuntimeError("the event was used after its handler had returned")
        return self._delivery

    def _close(self) -> None:
        self._delivery = None
