"""Does what an event asks for and tells what came of it: the fixture by which every language is held to the same
answers. ``docs/languages.md`` says what each behaviour does; ``tests/tests/conformance.rs`` asks for them.

The behaviour is the header ``Behaviour``. What came of it is published on ``conformance.result``: as JSON, but for
``echo``.
"""

import logging
import secrets
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import hostel
import hostel.http
from hostel import keyvalue

RESULT = "conformance.result"
#: The other topic that the manifest allows, and one that it does not.
OTHER = "conformance.other"
DENIED = "conformance.denied"

TRACE = 5

log = logging.getLogger("conformance")

#: Events that this instance has counted.
count = 0


@hostel.init
def prepare() -> None:
    """Refuses a deployment whose config says so."""
    why = hostel.config("refuse")
    if why is not None:
        raise hostel.Reject(f"refused on demand: {why}")


@hostel.handler
def handle(event: hostel.Event) -> None:
    """Does what the event says."""
    name = event.headers.get("Behaviour", "")
    behaviour = BEHAVIOURS.get(name or "")
    if behaviour is None:
        raise hostel.Reject(f'there is no behaviour "{name}"')
    answer = behaviour(event)
    if answer is not None:
        tell(event, answer)


def tell(event: hostel.Event, answer: Any) -> None:
    hostel.publish_json(RESULT, answer, id=f"result-{event.id}")


def echo(event: hostel.Event) -> None:
    """The body as it came, and of the headers those that begin with ``x-``."""
    headers = [(name, value) for name, value in event.headers if name.lower().startswith("x-")]
    hostel.publish(RESULT, event.body, headers=headers, id=f"result-{event.id}")


def describe(event: hostel.Event) -> Any:
    return {
        "id": event.id,
        "topic": event.topic,
        "attempt": event.attempt,
        "published_at_ms": round(event.published_at.timestamp() * 1000),
        "last_error": event.last_error,
        "bytes": len(event.body),
        # Written otherwise than it is sent.
        "header": event.headers.get("x-REPEATED"),
        "missing": event.headers.get("X-Missing"),
    }


def publish(event: hostel.Event) -> Any:
    published = hostel.publish(OTHER, b"other", headers=[("X-Kind", "other")], id=f"other-{event.id}")
    return {"id": published, "denied": refused(DENIED), "invalid": refused("conformance..other")}


def refused(topic: str) -> tuple[str, str]:
    try:
        return "unexpected", hostel.publish(topic, b"refused")
    except hostel.PublishError as error:
        return error.kind, str(error)


def publish_denied(event: hostel.Event) -> None:
    hostel.publish(DENIED, b"denied")


def keep(event: hostel.Event) -> Any:
    bucket = keyvalue.Bucket("conformance")
    key, number = f"{event.id}-value", f"{event.id}-number"
    before = bucket.get(key)
    bucket.set(key, b"\x00\xffv")
    after = bucket.get(key)
    exists = key in bucket
    bucket.increment(number, 2)
    total = bucket.increment(number, 3)
    keys = list(bucket.keys())
    bucket.delete(key)
    return {
        "before": None if before is None else list(before),
        "after": None if after is None else list(after),
        "exists": exists,
        "sum": total,
        "keys": keys,
        "deleted": key not in bucket,
        "denied": is_bucket_denied(),
    }


def is_bucket_denied() -> bool:
    try:
        keyvalue.Bucket("forbidden")
    except keyvalue.KeyValueError as error:
        return error.kind == "access-denied"
    return False


def key_value_denied(event: hostel.Event) -> None:
    keyvalue.Bucket("forbidden")


def config(event: hostel.Event) -> Any:
    return {"set": hostel.config("greeting"), "unset": hostel.config("absent")}


def require_config(event: hostel.Event) -> None:
    hostel.require_config("absent")


def write_log(event: hostel.Event) -> None:
    log.log(TRACE, "at trace")
    log.debug("at debug")
    log.info("at info: grüß dich")
    log.warning("at warn")
    log.error("at error")
    print("on stdout")
    print("on stderr", file=sys.stderr)


def clocks(event: hostel.Event) -> Any:
    began = time.monotonic_ns()
    time.sleep(milliseconds(event) / 1000)
    return {"wall_ms": time.time_ns() // 1_000_000, "elapsed_ms": (time.monotonic_ns() - began) // 1_000_000}


def random(event: hostel.Event) -> Any:
    return {"random": [list(secrets.token_bytes(16)) for _ in range(2)]}


def ask(event: hostel.Event) -> Any:
    answer = hostel.http.send("POST", required(event, "Url"), headers=[("X-Sent", "sent")], body=event.body)
    denied = False
    try:
        hostel.http.send("GET", required(event, "Denied-Url"))
    except hostel.http.HttpError as error:
        denied = error.kind == "denied"
    return {"status": answer.status, "header": answer.headers.get("X-Answered"), "body": answer.text(), "denied": denied}


def retry(event: hostel.Event) -> Any:
    if event.attempt > 1:
        return describe(event)
    is_timed = "Milliseconds" in event.headers
    raise hostel.Retry("not yet: nö", after=timedelta(milliseconds=milliseconds(event)) if is_timed else None)


def reject(event: hostel.Event) -> None:
    raise hostel.Reject("rejected on demand: nö")


def acknowledge(event: hostel.Event) -> None:
    """What is published before holds, whatever happens after."""
    hostel.publish(OTHER, b"before")
    event.ack()
    already_settled = False
    try:
        event.ack()
    except hostel.SettleError as error:
        already_settled = error.kind == "already-settled"
    tell(event, {"already_settled": already_settled})
    outermost(event)


def extend(event: hostel.Event) -> Any:
    asked = milliseconds(event)
    event.extend(timedelta(milliseconds=2 * asked))
    time.sleep(asked / 1000)
    try:
        event.extend(timedelta(days=1))
    except hostel.SettleError as error:
        return {"left_ms": None if error.left is None else error.left // timedelta(milliseconds=1)}
    return {"left_ms": "unexpected"}


def sleep(event: hostel.Event) -> Any:
    time.sleep(milliseconds(event) / 1000)
    return {}


def outermost(event: hostel.Event) -> None:
    middle(event)


def middle(event: hostel.Event) -> None:
    innermost(event)


def innermost(event: hostel.Event) -> None:
    raise TypeError(f"failed on demand in attempt {event.attempt}")


def increase(event: hostel.Event) -> Any:
    global count
    count += 1
    return {"count": count}


def milliseconds(event: hostel.Event) -> int:
    return int(required(event, "Milliseconds"))


def required(event: hostel.Event, name: str) -> str:
    value = event.headers.get(name)
    if value is None:
        raise hostel.Reject(f"header `{name}` is missing")
    return value


#: What each answers is told; None is not.
BEHAVIOURS: dict[str, Callable[[hostel.Event], Any]] = {
    "echo": echo,
    "describe": describe,
    "publish": publish,
    "publish-denied": publish_denied,
    "key-value": keep,
    "key-value-denied": key_value_denied,
    "config": config,
    "require-config": require_config,
    "log": write_log,
    "clocks": clocks,
    "random": random,
    "http": ask,
    "retry": retry,
    "reject": reject,
    "ack": acknowledge,
    "extend": extend,
    "sleep": sleep,
    "panic": outermost,
    "count": increase,
}
