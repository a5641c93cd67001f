"""The previous release at work: books, moves and cancels until it is done; run in the tree of that release.

`python previous_child.py PEOPLE`: prints a line per acknowledged step, `new HOSPITAL` first and `done` last.
"""

import sys
import time

sys.path.insert(0, ".")

from booking.app import create_app
from booking.appointments.cancel import cancel
from booking.appointments.move import move
from booking.appointments.reserve import confirm, hold
from booking.staff.rules import Actor
from tests import factory

with create_app().app_context():
    at = factory.clinic()
    opened = factory.open_session(at, places=int(sys.argv[1]))
    print(f"new {at.id}", flush=True)
    for number in range(int(sys.argv[1])):
        who = factory.person()
        me = Actor("account", str(who.id), account_id=who.id)
        row = hold(at.id, opened.slots[0].id, holder=f"h{number}", actor=me)
        words = {"holder": f"h{number}", "actor": me, "patient_id": who.patient.id}
        row = confirm(at.id, row.id, **words, key=f"c{number}")
        if number % 3 == 1:
            row = move(at.id, row.id, opened.slots[1].id, actor=me)
        if number % 3 == 2:
            row = cancel(at.id, row.id, actor=me)
        print(f"{row.status} {row.id}", flush=True)
        time.sleep(0.1)
    print("done", flush=True)
