"""Key-value buckets in a test: those of its host, in memory, with the functions of the generated bindings."""

from dataclasses import dataclass

from hostel import _double


@dataclass(frozen=True)
class _Page:
    keys: list[str]
    cursor: int | None = None


class _Bucket:
    def __init__(self, values: dict[str, bytes]) -> None:
        self._values = values

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def set(self, key: str, value: bytes) -> None:
        self._values[key] = value

    def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def exists(self, key: str) -> bool:
        return key in self._values

    def list_keys(self, _cursor: int | None) -> _Page:
        return _Page(sorted(self._values))


def open(identifier: str) -> _Bucket:
    return _Bucket(_double.current().buckets.setdefault(identifier, {}))


def increment(bucket: _Bucket, key: str, delta: int) -> int:
    total = int(bucket.get(key) or b"0") + delta
    bucket.set(key, str(total).encode())
    return total
