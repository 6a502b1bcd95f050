"""CloudEvents 1.0 in the binary mode of their HTTP binding: as headers and body of an event."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hostel._errors import BodyError, PublishError
from hostel._publish import publish

_REQUIRED = ("id", "source", "type")
_KNOWN = (*_REQUIRED, "subject", "time", "dataschema")
_NAME = re.compile(r"[a-z0-9]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})?")


class CloudEventError(BodyError):
    """The event is no CloudEvent. Left to itself it rejects the event."""


@dataclass(kw_only=True)
class CloudEvent:
    """An event as CloudEvents 1.0 describes it.

    ``event.cloud_event()`` reads it, :func:`publish_cloud_event` publishes it.
    """

    #: What identifies the event among those of its source.
    id: str
    #: Where it happened: a URI reference.
    source: str
    #: What kind of thing happened.
    type: str
    #: What it is about, within its source.
    subject: str | None = None
    #: When it happened, in RFC 3339; ``datetime.fromisoformat`` reads it.
    time: str | None = None
    #: The media type of the data.
    datacontenttype: str | None = None
    #: The schema of the data: a URI.
    dataschema: str | None = None
    #: All other attributes, by names of a-z and 0-9. Values are strings, whatever their type: ``5``, ``true``.
    extensions: dict[str, str] = field(default_factory=dict)
    #: The data; empty if there are none.
    data: bytes = b""

    def text(self) -> str:
        """The data as text. Raises :class:`BodyError` when they are not UTF-8."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise BodyError(f"the data are not UTF-8 text: {error.reason} at byte {error.start}") from None

    def json(self) -> Any:
        """The data as JSON. Raises :class:`BodyError` when they are not JSON."""
        text = self.text()
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BodyError(f"the data are not JSON: {error}") from None

    def with_json(self, value: Any) -> Self:
        """Sets the data to a value as JSON, and the media type to that of JSON unless there is another."""
        try:
            self.data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PublishError("invalid", f"the value cannot be written as JSON: {error}") from None
        self.datacontenttype = self.datacontenttype or "application/json"
        return self


def read_cloud_event(headers: Iterable[tuple[str, str]]) -> CloudEvent:
    """The CloudEvent in an event's headers, without its data."""
    attributes: dict[str, str] = {}
    media_type = None
    for header, value in headers:
        name = header.lower()
        if name == "content-type":
            media_type = value
        elif name.startswith("ce-"):
            name = name.removeprefix("ce-")
            attributes[name] = _decode(name, value)
    version = attributes.pop("specversion", None)
    if version is None:
        raise CloudEventError("the event is no CloudEvent: it has no header `ce-specversion`")
    if version != "1.0":
        raise _malformed("specversion")
    known = {name: attributes.pop(name, None) for name in _KNOWN}
    event = CloudEvent(
        id=known["id"] or "",
        source=known["source"] or "",
        type=known["type"] or "",
        subject=known["subject"],
        time=known["time"],
        datacontenttype=media_type,
        dataschema=known["dataschema"],
        extensions=attributes,
    )
    why = _fault(event)
    if why is not None:
        raise CloudEventError(why)
    return event


def publish_cloud_event(topic: str, event: CloudEvent) -> str:
    """Publishes a CloudEvent, a header for each attribute, and returns the new event's id.

    That is not the CloudEvent's.

    Raises :class:`PublishError`, of kind ``invalid`` when an attribute is missing or an extension has no good name;
    nothing was published then.
    """
    why = _fault(event)
    if why is not None:
        raise PublishError("invalid", why)
    known: Mapping[str, str | None] = {name: getattr(event, name) for name in _KNOWN}
    attributes = {"specversion": "1.0", **known, **event.extensions}
    headers = [(f"ce-{name}", _encode(value)) for name, value in attributes.items() if value is not None]
    if event.datacontenttype is not None:
        headers.append(("Content-Type", event.datacontenttype))
    return publish(topic, event.data, headers=headers)


def _fault(event: CloudEvent) -> str | None:
    for name in _REQUIRED:
        if not getattr(event, name):
            return f"attribute `{name}` is missing"
    reserved = {*_KNOWN, "specversion", "datacontenttype", "data"}
    for name in event.extensions:
        if not _NAME.fullmatch(name) or name in reserved:
            return f"an extension cannot be called `{name}`; names are of a-z and 0-9"
    return None


def _encode(value: str) -> str:
    """As the HTTP binding says, section 'HTTP Header Values'."""
    plain = frozenset(range(0x21, 0x7F)) - frozenset(b'"%')
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in value.encode())


def _decode(name: str, value: str) -> str:
    """Out of its quotes if it has some, then percent-decoded, once."""
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise _malformed(name)
        value = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)

    def byte(digits: re.Match[bytes]) -> bytes:
        if digits[1] is None:
            raise _malformed(name)
        return bytes.fromhex(digits[1].decode())

    try:
        return _PERCENT.sub(byte, value.encode()).decode()
    except UnicodeDecodeError:
        raise _malformed(name) from None


def _malformed(name: str) -> CloudEventError:
    return CloudEventError(f"the value of attribute `{name}` is malformed")
