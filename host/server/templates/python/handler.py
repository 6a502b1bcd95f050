"""Greets whoever an event names."""

import logging

import hostel

log = logging.getLogger("{{name}}")


@hostel.handler
def handle(event: hostel.Event) -> None:
    greeting = event.json()
    if not isinstance(greeting, dict) or "name" not in greeting:
        raise hostel.Reject("no `name` in the event")
    log.info("hello, %s", greeting["name"])
