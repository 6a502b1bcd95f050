"""The smallest handler: logs the event and acknowledges it."""

import logging

import hostel

log = logging.getLogger("hello")


@hostel.handler
def handle(event: hostel.Event) -> None:
    size = len(event.body)
    log.info("hello, event %s on %s, attempt %d, with %d bytes", event.id, event.topic, event.attempt, size)
