"""Keys and values that outlive an event. A component imports the stores only if its author imports this module."""

from collections.abc import Iterator
from typing import Any

from hostel import _host
from hostel._errors import KeyValueError

__all__ = ["Bucket", "KeyValueError"]

if _host.IN_COMPONENT:
    from componentize_py_types import Err

    from hostel import _component

    _atomics: Any = _component.bindings("wasi_keyvalue_atomics_0_2_0_draft")
    _store: Any = _component.bindings("wasi_keyvalue_store_0_2_0_draft")
    _Failed: Any = Err
else:
    from hostel import _double_keyvalue

    _atomics = _store = _double_keyvalue
    _Failed = ()


class Bucket:
    """A bucket of keys and values. Each method raises :class:`KeyValueError`."""

    def __init__(self, name: str) -> None:
        """Opens the bucket of this name."""
        self.name = name
        self._bucket = self._call(_store.open, name)

    def get(self, key: str) -> bytes | None:
        """The value of a key, if it has one."""
        value: bytes | None = self._call(self._bucket.get, key)
        return value

    def set(self, key: str, value: bytes | str) -> None:
        """Gives a key a value."""
        self._call(self._bucket.set, key, value.encode() if isinstance(value, str) else bytes(value))

    def delete(self, key: str) -> None:
        """Takes a key away, if it is there."""
        self._call(self._bucket.delete, key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self._call(self._bucket.exists, key))

    def keys(self) -> Iterator[str]:
        """All keys, asked of the host as they are read."""
        cursor: int | None = None
        while True:
            page = self._call(self._bucket.list_keys, cursor)
            yield from page.keys
            cursor = page.cursor
            if cursor is None:
                return

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds to a number, which begins at 0, and returns the sum. No other event comes between."""
        return int(self._call(_atomics.increment, self._bucket, key, delta))

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except _Failed as error:
            kind, why = _component.case(error.value)
            raise KeyValueError(kind, _TEXTS[kind].format(self.name, why)) from None  # type: ignore[arg-type]


_TEXTS = {
    "no-such-store": "there is no key-value bucket `{}`",
    "access-denied": "the handler may not use the key-value bucket `{}`; add it to `keyvalue` in handler.toml",
    "other": "the key-value bucket `{}` failed: {}",
}
