"""Applications that take hooks: ``hooks=`` and the decorator ``hook``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from wsgiproxy.sansio.hooks import PROXY, Hook, Link, checked_hooks, links, with_phase

__all__ = ["Chained", "Hookable"]


class Chained:
    """A gateway with a chain of hooks.

    :ivar links: of the chain, the outermost first.
    """

    links: tuple[Link, ...] = ()

    @property
    def hooks(self) -> Sequence[Hook]:
        """The hooks, which have been checked; those of the next requests can be set."""
        return [link.hook for link in self.links]

    @hooks.setter
    def hooks(self, hooks: Sequence[Hook]) -> None:
        self.links = links(hooks)


class Hookable:
    """An application with hooks; a class of its own says what is to be done with them."""

    _is_async: ClassVar[bool] = False
    _hooks: tuple[Hook, ...] = ()

    def _take_hooks(self, hooks: Iterable[Hook]) -> None:
        """Check the hooks, and have them from now on.

        :raises ConfigurationError: naming the one that is none.
        """
        self._hooks = checked_hooks(hooks, is_async=self._is_async)

    def _use_hooks(self) -> None:
        """Serve the requests from now on with the present hooks."""

    def hook(self, hook: Hook | None = None, *, phase: int = PROXY) -> Any:
        """A decorator that adds a hook, behind those that are there already.

        :param phase: hooks of a lower phase stand before those of a higher one.
        :raises ConfigurationError: it is no hook.
        """
        if hook is None:
            return partial(self.hook, phase=phase)
        self._take_hooks([*self._hooks, with_phase(hook, phase)])
        self._use_hooks()
        return hook
