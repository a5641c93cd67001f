"""A web process that moves or cancels visits until it is killed: `python changing_child.py HOSPITAL VERB ID:ACCOUNT[:SLOT]…`.

Prints each acknowledged change. Where it dies in between is up to FAILPOINTS.
"""

import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from booking.app import create_app
from booking.appointments.cancel import cancel
from booking.appointments.move import move
from booking.staff.rules import Actor

hospital, verb, *changes = sys.argv[1:]

with create_app().app_context():
    for change in changes:
        row_id, account, *slot = change.split(":")
        me = Actor("account", account, account_id=int(account))
        key = f"{verb}-{row_id}"
        if verb == "move":
            done = move(int(hospital), uuid.UUID(row_id), uuid.UUID(slot[0]), actor=me, key=key)
        else:
            done = cancel(int(hospital), uuid.UUID(row_id), actor=me, key=key)
        print(f"{done.status} {done.id} {done.version}", flush=True)
time.sleep(600)
