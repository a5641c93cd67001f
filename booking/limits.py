"""The request limiter that the doors share; which limit stands where is said at each view."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address


def network() -> str:
    """Return what the per-network limits count by: the address, of IPv6 its /64, since one line has all of those."""
    address = get_remote_address()
    try:
        mapped = IPv6Address(address).ipv4_mapped
    except ValueError:
        return address
    return str(mapped or ip_network((address, 64), strict=False))


limiter = Limiter(network)
