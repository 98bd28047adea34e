"""SRV records: the servers of a service (RFC 2782), by dnspython."""

from __future__ import annotations

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.balance.member import HEAVIEST
from wsgiproxy.sansio.extras import extra

__all__ = ["check_srv", "services"]


def check_srv() -> None:
    """Check that the library is there.

    :raises ConfigurationError: it is not.
    """
    try:
        import dns.resolver  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"href='dns:_…': SRV records need dnspython: {extra('dns')}"
        ) from error


def services(name: str) -> list[tuple[str, int, int]]:
    """Host, port and weight, from 1 to 256, of each server with the best priority.

    :raises OSError: there are none.
    """
    import dns.exception
    import dns.resolver

    try:
        records = list(dns.resolver.resolve(name, "SRV", lifetime=5.0))
    except dns.exception.DNSException as error:
        raise OSError(str(error)) from error
    records = [each for each in records if str(each.target) != "."]
    best = min((each.priority for each in records), default=0)
    found = [each for each in records if each.priority == best]
    # Theirs go up to 65535, and 0 means hardly anything.
    most = max(HEAVIEST, *(each.weight for each in found), 1)
    return [
        (
            str(each.target).rstrip("."),
            each.port,
            max(round(each.weight * HEAVIEST / most), 1),
        )
        for each in found
    ]
