"""What a component exports. Only a component can import this; its build names the author's module."""

import os
from typing import Any

from componentize_py_types import Err

from hostel import _component, _handler


class Subscriber:
    """The export ``subscriber``."""

    module: str

    def handle(self, event: Any) -> None:
        failed = _handler.run(_handler.handlers[self.module], _component.delivery(event))
        if failed is None:
            return
        failure, _ = failed
        if not failure.meant:
            # A trap, without a second traceback on stderr as an exception would leave that passes this.
            os.abort()
        raise _component.err(failure) from None


class Lifecycle:
    """The export ``lifecycle``."""

    module: str

    def init(self) -> None:
        failed = _handler.attempt(_handler.inits[self.module])
        if failed is not None:
            raise Err(failed[0].reason) from None
