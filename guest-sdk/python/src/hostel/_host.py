"""The host, as this package sees it: that of the component in a component, the test double everywhere else.

Both offer the same functions. What they fail with is this package's.
"""

from collections.abc import Sequence
from typing import Protocol

Headers = Sequence[tuple[str, str]]


class Delivery(Protocol):
    """What the host lends a handler for one delivery."""

    def id(self) -> str: ...
    def topic(self) -> str: ...
    def attempt(self) -> int: ...
    def published_at_ms(self) -> int: ...
    def headers(self) -> Headers: ...
    def body(self) -> bytes: ...
    def error(self) -> str | None: ...
    def ack(self) -> None: ...
    def extend(self, ms: int) -> None: ...


class Host(Protocol):
    """What the host does for a handler."""

    def publish(self, topic: str, headers: Headers, body: bytes) -> str: ...
    def config(self, key: str) -> str | None: ...
    def log(self, level: int, context: str, text: str) -> None: ...


def host() -> Host:
    """The host that this code runs in."""
    # Late: only one of the two can be imported.
    if IN_COMPONENT:
        from hostel import _component

        return _component.HOST
    from hostel import _double

    return _double.current()


def _is_component() -> bool:
    try:
        import wit_world  # noqa: F401
    except ImportError:
        return False
    return True


#: Whether this is a component. ``wit_world`` is what its build generates.
IN_COMPONENT = _is_component()
