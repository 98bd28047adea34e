"""What one reading of a configuration file has made, of which the next one takes over commands.

It counts no requests, and closes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsgiproxy.routed import Standing

if TYPE_CHECKING:
    from wsgiproxy.cli.configured import Configured

__all__ = ["Generation"]


class Generation:
    """The router of a file, and what stands before it.

    :param site: the file, as it was read.
    :param before: what the reading before has made; a command that both of them describe alike
        is the same application in both, and goes on.
    :ivar router: of the file.
    :ivar application: what stands before it, for requests.
    """

    def __init__(self, site: Configured, before: Generation | None = None) -> None:
        self._described = {
            route.place: site.described(route) for route in site.config.routes if route.command
        }
        self._site = site
        kept = before._alike(self) if before is not None else {}
        self.router: Any = site.router(kept)
        self.application: Any = site.guarded(self.router)
        self._standing: dict[Any, Standing] = dict(self.router._places.entries)

    def _alike(self, after: Generation) -> dict[Any, Standing]:
        """Where the commands stand that are the same in *after*."""
        return {
            place: self._standing[place]
            for place, described in self._described.items()
            if after._described.get(place) == described
        }

    @property
    def applications(self) -> list[Any]:
        """What stands at the places."""
        return [each.application for each in self._standing.values()]

    @property
    def commands(self) -> list[Any]:
        """The applications of commands."""
        return [self._standing[place].application for place in self._described]

    @property
    def at_once(self) -> list[Any]:
        """The applications of commands that no request has to start."""
        return [
            self._standing[route.place].application
            for route in self._site.config.routes
            if route.command and self._site.starts_at_once(route)
        ]

    def application_for(self, request: Any) -> Any:
        """What gets a request, an environ or a scope; None if nothing stands there."""
        standing = self.router._standing(request)
        return None if standing is None else standing[1].application
