"""The rules of the spawner: the whole original path, to a process of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgiproxy.sansio.href import Base
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, Inbound, Origin
from wsgiproxy.sansio.pipeline import Outgoing
from wsgiproxy.sansio.policy.reverse import ReversePolicy

__all__ = ["SpawnPolicy"]


class SpawnPolicy:
    """The same for a process of our own: it is asked for the whole original path.

    What 0.2.2 documented of its spawner is sent: X-Script-Name, X-Forwarded-Scheme and
    X-Forwarded-For.

    :param origin: where it listens.
    :param options: the rows of :data:`wsgiproxy.settings.APP`, resolved.
    :param pseudonym: our name in Via.
    :param strips: leave the mount out of the path, as a reverse proxy does.
    """

    keeps_namespace = False
    is_known_by_port = False
    has_own_upstreams = False

    def __init__(
        self, origin: Origin, options: Mapping[str, Any], pseudonym: str, *, strips: bool
    ) -> None:
        self.passes_commands: bool = options["pass_accel"]

        def mounted(script_name: str) -> ReversePolicy:
            base = Base(origin, "" if strips else script_name, False, "")
            fixed = [("X-Script-Name", script_name)] if script_name else []
            return ReversePolicy(base, options, pseudonym, whole=not strips, fixed=fixed)

        # One for each mount, and there are few of them.
        self._mounted = remembered(limit=16)(mounted)
        self._root = mounted("")
        self.trusts_ids = self._root.trusts_ids

    def visible(self, headers: Headers) -> Headers:
        """As of :meth:`.Policy.visible`."""
        return self._root.visible(headers)

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """As :meth:`ReversePolicy.request`."""
        return self._mounted(inbound.script_name).request(inbound, headers)

    def response(self, headers: Headers, context: object) -> Headers:
        """As :meth:`ReversePolicy.response`; the context knows the mount."""
        return self._root.response(headers, context)
