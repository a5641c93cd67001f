"""The request limiter that the doors share; which limit stands where is said at each view."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_network
from threading import Lock
from time import monotonic

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from booking.errors import TooMany


def network() -> str:
    """Return what the per-network limits count by: the address, of IPv6 its /64, since one line has all of those."""
    address = get_remote_address()
    try:
        mapped = IPv6Address(address).ipv4_mapped
    except ValueError:
        return address
    return str(mapped or ip_network((address, 64), strict=False))


class _Limits(Limiter):
    """Every limit stands at its view and is counted there; none is of all pages, so that nothing is looked for before."""

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not in_middleware:
            super()._check_request_limit(callable_name, in_middleware)


limiter = _Limits(network)


class Pace:
    """So many requests of one kind in so many seconds, counted in this process; with n processes up to n times as many.

    For the few addresses that everybody presses in the release minute: there the shared count would cost more than the
    request, and what protects the places are the caps in the database. Windows are fixed, as the limiter's.
    """

    def __init__(self, most: int, seconds: int) -> None:
        self.most, self.seconds = most, seconds
        self._window, self._counts = 0, Counter[str]()
        self._lock = Lock()

    def ensure(self, key: str) -> None:
        """Count one request of `key`. Raises TooMany (`seconds` until the window ends) when it is one too many."""
        if self.is_over(key):
            raise TooMany(seconds=self.seconds - monotonic() % self.seconds)

    def is_over(self, key: str) -> bool:
        """Count one request of `key`; whether it is one too many."""
        if not limiter.enabled:
            return False
        at = monotonic()
        with self._lock:
            window = int(at // self.seconds)
            if window != self._window:
                self._window = window
                self._counts.clear()
            self._counts[key] += 1
            return self._counts[key] > self.most
