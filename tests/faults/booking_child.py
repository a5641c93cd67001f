"""A web process that books until it is killed: prints each acknowledged step; `python booking_child.py HOSPITAL PEOPLE…`.

With `stops` as the last argument it stands still inside the transaction of its last booking, before the commit.
"""

import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from booking.app import create_app
from booking.appointments import reserve
from booking.staff.rules import Actor

hospital, slot, *people = sys.argv[1:]
stops = people[-1] == "stops"
people = people[:-1] if stops else people


def stand_still(*_words: object, **_more: object) -> int:
    print("inside", flush=True)
    time.sleep(600)
    return 0


with create_app().app_context():
    for number, pair in enumerate(people):
        account, patient = (int(one) for one in pair.split(":"))
        me = Actor("account", str(account), account_id=account)
        row = reserve.hold(int(hospital), uuid.UUID(slot), holder=f"child{number}", actor=me)
        if stops and number == len(people) - 1:
            reserve.tell = stand_still  # type: ignore[assignment]
        done = reserve.confirm(int(hospital), row.id, holder=f"child{number}", actor=me, patient_id=patient)
        print(f"booked {done.id} {done.visit_code}", flush=True)
time.sleep(600)
