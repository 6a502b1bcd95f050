"""Publishing messages on topics of the handler's own tenant."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hostel._errors import PublishError
from hostel._host import host

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def publish(topic: str, body: bytes | str, *, headers: Headers = (), id: str | None = None) -> str:
    """Publishes a message on a topic that the manifest allows and returns the new event's id.

    ``id`` gives the new event its id. Made from the id of the event being handled, it lets whoever hears the new event
    recognise what a repeated attempt publishes again.

    Raises :class:`PublishError`; nothing was published then.
    """
    pairs = _pairs(headers)
    if id is not None:
        pairs.append(("Hostel-Id", id))
    content = body.encode() if isinstance(body, str) else bytes(body)
    return host().publish(topic, pairs, content)


def publish_json(topic: str, value: Any, *, headers: Headers = (), id: str | None = None) -> str:
    """Publishes a value as JSON, with the header ``Content-Type: application/json`` unless that is given."""
    try:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise PublishError("invalid", f"the value cannot be written as JSON: {error}") from None
    pairs = _pairs(headers)
    if all(name.lower() != "content-type" for name, _ in pairs):
        pairs.insert(0, ("Content-Type", "application/json"))
    return publish(topic, body, headers=pairs, id=id)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    entries = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, value) for name, value in entries]
