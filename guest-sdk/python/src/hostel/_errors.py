"""What a handler raises, what this package raises, and what becomes of the event then."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Literal


class Retry(Exception):
    """Raised by a handler: the event may be handled later and is attempted again, until its attempts are used up.

    ``after`` is how long to wait, counted from the end of this attempt, at most 24 hours; without it the subscription's
    backoff decides.
    """

    def __init__(self, reason: str, *, after: timedelta | None = None) -> None:
        super().__init__(reason)
        if after is not None and after < timedelta(0):
            raise ValueError(f"after must not be negative: {after}")
        self.after = after


class Reject(Exception):
    """Raised by a handler: the event will never be handled and becomes a dead letter at once."""


class BodyError(Reject):
    """The body is not what the handler expects. Left to itself it rejects the event: the body will not change."""


class ConfigError(Exception):
    """A config key is not set, or cannot be read. Left to itself it is a retry."""


class PublishError(Exception):
    """A message was not published.

    Left to itself it rejects the event when publishing was denied or the message invalid or too large, and is a retry
    otherwise: after the host's advice when it is overloaded.
    """

    Kind = Literal["denied", "invalid", "too-large", "overloaded", "failed"]

    def __init__(self, kind: Kind, detail: str | int) -> None:
        super().__init__(_PUBLISH_TEXTS[kind].format(detail))
        self.kind: PublishError.Kind = kind
        #: With ``too-large``: the most bytes that a message may have.
        self.limit = int(detail) if kind == "too-large" else None
        #: With ``overloaded``: when to try again.
        self.retry_after = timedelta(milliseconds=int(detail)) if kind == "overloaded" else None


_PUBLISH_TEXTS = {
    "denied": "publishing was denied: {}",
    "invalid": "the message was refused: {}",
    "too-large": "the message is larger than the {} bytes that the host takes",
    "overloaded": "the host is overloaded; try again in {} ms",
    "failed": "the broker failed: {}",
}


class SettleError(Exception):
    """The delivery was not settled, or its deadline not moved. Left to itself it is a retry."""

    Kind = Literal["already-settled", "failed", "too-long"]

    def __init__(self, kind: Kind, detail: str | int = "") -> None:
        super().__init__(_SETTLE_TEXTS[kind].format(detail))
        self.kind: SettleError.Kind = kind
        #: With ``too-long``: what is left to ask for.
        self.left = timedelta(milliseconds=int(detail)) if kind == "too-long" else None


_SETTLE_TEXTS = {
    "already-settled": "the delivery was settled before",
    "failed": "the delivery was not settled: {}",
    "too-long": "the deadline lies beyond what the host allows; {} ms are left",
}


class KeyValueError(Exception):
    """Why a key-value store did not do what it was asked.

    Left to itself it rejects the event when the bucket was denied, as :class:`PublishError` does, and is a retry otherwise.
    """

    Kind = Literal["no-such-store", "access-denied", "other"]

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind: KeyValueError.Kind = kind


class HttpError(Exception):
    """Why there is no answer to an HTTP request.

    Left to itself it rejects the event when the request was denied or malformed, and is a retry otherwise.
    """

    Kind = Literal["denied", "invalid", "failed"]

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(_HTTP_TEXTS[kind].format(detail))
        self.kind: HttpError.Kind = kind


_HTTP_TEXTS = {
    "denied": "a request to `{}` was denied: add its server to `http` in handler.toml",
    "invalid": "the request was refused: {}",
    "failed": "the request failed: {}",
}


@dataclass(frozen=True)
class Failure:
    """What becomes of an event that was not handled."""

    outcome: Literal["retry", "reject"]
    reason: str
    after: timedelta | None
    #: Whether the exception says so. Any other is a fault: it is logged, and the handler traps.
    meant: bool


#: What says what becomes of the event.
_OWN = (Retry, Reject, ConfigError, PublishError, SettleError, KeyValueError, HttpError)


def failure_of(raised: BaseException) -> Failure:
    """What an exception makes of the event: the first of its chain of causes that says so decides."""
    reason = _text(raised)
    for error in _chain(raised):
        match error:
            case Reject():
                return Failure("reject", reason, None, meant=True)
            case Retry():
                return Failure("retry", reason, error.after, meant=True)
            case PublishError(kind="overloaded" | "failed"):
                return Failure("retry", reason, error.retry_after, meant=True)
            case PublishError() | KeyValueError(kind="access-denied") | HttpError(kind="denied" | "invalid"):
                return Failure("reject", reason, None, meant=True)
            case ConfigError() | SettleError() | KeyValueError() | HttpError():
                return Failure("retry", reason, None, meant=True)
    return Failure("retry", reason, None, meant=False)


def traceback_of(raised: BaseException) -> Iterator[str]:
    """The lines of an exception's traceback, the call of the handler first."""
    # The outermost frames are this package's. The innermost suffice to see who called, and spare the lines that a host
    # keeps.
    shown = traceback.TracebackException(type(raised), raised, _outermost_left_out(raised), limit=-24)
    for chunk in shown.format():
        yield from chunk.rstrip("\n").split("\n")


def milliseconds(time: timedelta) -> int:
    """Whole milliseconds, rounded up so that a short wait does not become none."""
    return -(-time // timedelta(milliseconds=1))


def _outermost_left_out(raised: BaseException) -> TracebackType | None:
    found = raised.__traceback__
    while found is not None and found.tb_frame.f_globals.get("__name__") == "hostel._handler":
        found = found.tb_next
    return found


def _chain(raised: BaseException) -> Iterator[BaseException]:
    """The exception and the causes that it was raised ``from``."""
    seen: set[int] = set()
    error: BaseException | None = raised
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _text(raised: BaseException) -> str:
    """The texts of a chain. The type is part of it where the exception was not raised to say what becomes of it."""
    parts: list[str] = []
    for error in _chain(raised):
        own = str(error)
        if not isinstance(error, _OWN):
            own = f"{type(error).__name__}: {own}" if own else type(error).__name__
        if not (parts and parts[-1].endswith(own)):
            parts.append(own)
    return ": ".join(parts)
