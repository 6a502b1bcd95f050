"""The host of a component: the bindings that the build generates from the contract, and the way between their types
and ours. Only a component can import this."""

import importlib
import logging
from types import ModuleType
from typing import Any

from componentize_py_types import Err

from hostel._errors import ConfigError, Failure, PublishError, SettleError, milliseconds
from hostel._host import Delivery, Headers


def bindings(interface: str) -> ModuleType:
    """The generated module of an interface."""
    return importlib.import_module(f"wit_world.imports.{interface}")


_logging = bindings("wasi_logging_logging_0_1_0_draft")
_publisher = bindings("hostel_handler_publisher_0_1_0")
_store = bindings("wasi_config_store_0_2_0_rc_1")
_types = bindings("hostel_handler_types_0_1_0")


def case(error: Any) -> tuple[str, Any]:
    """The name of a variant's case, and what it carries: ``too-large`` of the class ``PublishError_TooLarge``."""
    name = type(error).__name__.rpartition("_")[2]
    kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    return kebab.removeprefix("-"), getattr(error, "value", "")


def err(failure: Failure) -> Any:
    """A failure as the bindings want it raised."""
    if failure.outcome == "reject":
        return Err(_types.Failure_Reject(failure.reason))
    after = None if failure.after is None else milliseconds(failure.after)
    return Err(_types.Failure_Retry(_types.RetryAdvice(failure.reason, after)))


class ComponentDelivery:
    """A delivery whose errors are this package's."""

    def __init__(self, event: Any) -> None:
        self._event = event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._event, name)

    def ack(self) -> None:
        try:
            self._event.ack()
        except Err as error:
            raise _settle_error(error) from None

    def extend(self, ms: int) -> None:
        try:
            self._event.extend(ms)
        except Err as error:
            raise _settle_error(error) from None


def delivery(event: Any) -> Delivery:
    """The delivery that the host lends."""
    return ComponentDelivery(event)


def _settle_error(error: Any) -> SettleError:
    kind, detail = case(error.value)
    return SettleError(kind, detail)  # type: ignore[arg-type]  # The contract's cases are the kinds.


class _Host:
    def publish(self, topic: str, headers: Headers, body: bytes) -> str:
        try:
            return str(_publisher.publish(topic, _types.Message(list(headers), body)))
        except Err as error:
            kind, detail = case(error.value)
            raise PublishError(kind, detail) from None  # type: ignore[arg-type]  # The cases are the kinds.

    def config(self, key: str) -> str | None:
        try:
            value: str | None = _store.get(key)
        except Err as error:
            _, why = case(error.value)
            raise ConfigError(f"cannot read config key `{key}`: {why}") from None
        return value

    def log(self, level: int, context: str, text: str) -> None:
        _logging.log(_level(level), context, text)


HOST = _Host()


def _level(level: int) -> Any:
    levels = _logging.Level
    for least, own in (
        (logging.CRITICAL, levels.CRITICAL),
        (logging.ERROR, levels.ERROR),
        (logging.WARNING, levels.WARN),
        (logging.INFO, levels.INFO),
        (logging.DEBUG, levels.DEBUG),
    ):
        if level >= least:
            return own
    return levels.TRACE
