"""A worker that carries out draws and stands still inside a turn: `python draw_child.py TURNS`; prints each turn begun."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from booking.app import create_app
from booking.appointments import draw

last = int(sys.argv[1])
taken = 0
book = draw._book


def stand_still(*words):  # type: ignore[no-untyped-def]
    global taken
    taken += 1
    done = book(*words)
    print(f"turn {taken}", flush=True)
    if taken == last:
        time.sleep(600)
    return done


draw._book = stand_still
draw.BATCH = 3
with create_app().app_context():
    draw.draw_due()
    print("over", flush=True)
