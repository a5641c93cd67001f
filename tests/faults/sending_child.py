"""A worker that stops at a chosen moment and waits to be killed: `python sending_child.py claimed|written|sent|never`."""

import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from booking.app import create_app
from booking.notices import service


def stop_around(name: str, turn: int, *, before: bool) -> None:
    """Let the function of the service stop at its `turn`-th call: before it does anything, or when it has done it."""
    real: Callable[..., Any] = getattr(service, name)
    calls = count(1)

    def stopping(*args: Any, **kwargs: Any) -> Any:
        here = next(calls) == turn
        if here and before:
            wait_to_be_killed()
        result = real(*args, **kwargs)
        if here and not before:
            wait_to_be_killed()
        return result

    setattr(service, name, stopping)


def wait_to_be_killed() -> None:
    print("here", flush=True)
    time.sleep(600)


moment = sys.argv[1]
if moment == "claimed":
    stop_around("claim_due", 1, before=False)
elif moment == "written":
    stop_around("write", 1, before=False)
elif moment == "sent":
    stop_around("settle", 1, before=True)

with create_app().app_context():
    service.send_due("child")
print("done", flush=True)
