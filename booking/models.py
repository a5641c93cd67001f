"""Every table in one import, so that migrations see them all."""

from booking.appointments import draw_models as draws
from booking.appointments import models as appointments
from booking.appointments import wish_models as offers
from booking.content import models as content
from booking.directory import models as directory
from booking.notices import models as notices
from booking.outbox import DemoClock, Message
from booking.people import models as people
from booking.periodic import PeriodicRun
from booking.schedule import models as schedule
from booking.schedule import wanted as wishes
from booking.staff import models as staff

__all__ = [
    "DemoClock",
    "Message",
    "PeriodicRun",
    "appointments",
    "content",
    "directory",
    "draws",
    "notices",
    "offers",
    "people",
    "schedule",
    "staff",
    "wishes",
]
