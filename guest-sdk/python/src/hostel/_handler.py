"""Takes an author's functions, and calls them as the host asks for it."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

from hostel import _log
from hostel._errors import Failure, failure_of, traceback_of
from hostel._event import Event
from hostel._host import Delivery

Handle = Callable[[Event], None]
Init = Callable[[], None]

#: What tells of an exception.
_EXCEPTIONS = logging.getLogger("exception")

#: The handlers that a program has defined, by their module. A test may import several; a component has one.
handlers: dict[str, Handle] = {}
inits: dict[str, Init] = {}


def handler(function: Handle) -> Handle:
    """Marks the function that handles events: ``@hostel.handler``. It stays an ordinary function."""
    _take(handlers, function, "handler")
    return function


def init(function: Init) -> Init:
    """Marks the function that prepares the handler: ``@hostel.init``.

    It is called once for each version before the first event reaches it; an exception refuses the deployment.
    """
    _take(inits, function, "init")
    return function


def _take(taken: dict[str, Any], function: Any, what: str) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"@hostel.{what} takes a plain function; `{function.__name__}` is asynchronous")
    other = taken.get(function.__module__)
    if other is not None and other.__qualname__ != function.__qualname__:
        raise TypeError(
            f"module `{function.__module__}` has two functions with @hostel.{what}: "
            f"`{other.__name__}` and `{function.__name__}`; a component has one"
        )
    taken[function.__module__] = function


def run(function: Handle, delivery: Delivery) -> tuple[Failure, BaseException] | None:
    """Handles one delivery; what it answers is why it was not handled."""
    event = Event(delivery)
    try:
        return attempt(lambda: function(event))
    finally:
        event._close()


def attempt(work: Callable[[], None]) -> tuple[Failure, BaseException] | None:
    """Calls an author's function.

    An exception that does not say what becomes of the event is a fault. It is logged with its traceback, and the component
    traps: the attempt's history keeps the lines, while the stack of the trap shows the interpreter's functions.
    """
    _log.install()
    try:
        work()
    except Exception as error:
        failure = failure_of(error)
        if not failure.meant:
            for line in traceback_of(error):
                _EXCEPTIONS.error("%s", line)
        return failure, error
    return None
