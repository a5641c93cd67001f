"""What every committed state must satisfy (R and N of the domain), as SQL that finds whatever breaks it.

One list for the tests, the storm, `flask doctor` and the gauge. Each statement reads one hospital (`:hospital`) and returns
ids, never personal data. Every rule here has a stronger guard elsewhere, a constraint or a lock; this finds the day on
which that guard was lost.
"""

from booking.appointments.invariants.history import HISTORY
from booking.appointments.invariants.people import PEOPLE
from booking.appointments.invariants.places import PLACES
from booking.appointments.invariants.shape import LIVE, PLATFORM, Invariant
from booking.appointments.invariants.waiting import WAITING

INVARIANTS = (*PLACES, *PEOPLE, *WAITING, *HISTORY)

__all__ = ["INVARIANTS", "LIVE", "PLACES", "PLATFORM", "Invariant"]
