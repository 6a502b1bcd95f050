"""What a component exports. Only a component can import this; its build names the author's module."""

from typing import Any

from componentize_py_types import Err

from hostel import _component, _handler


class Subscriber:
    """The export ``subscriber``."""

    module: str

    def handle(self, event: Any) -> None:
        failed = _handler.run(_handler.handlers[self.module], _component.delivery(event))
        if failed is not None:
            raise _component.err(failed[0]) from None


class Lifecycle:
    """The export ``lifecycle``."""

    module: str

    def init(self) -> None:
        failed = _handler.attempt(_handler.inits[self.module])
        if failed is not None:
            raise Err(failed[0].reason) from None
