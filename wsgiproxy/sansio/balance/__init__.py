"""Several upstreams: which one gets a request, which are put aside, how many retries there may be.

The time and the random numbers are handed in; nothing is connected, waited for or locked here.
"""

from __future__ import annotations

from wsgiproxy.sansio.balance.balancer import Balancer
from wsgiproxy.sansio.balance.budget import Budget
from wsgiproxy.sansio.balance.member import Health, Member, Outcome

__all__ = ["Balancer", "Budget", "Health", "Member", "Outcome"]
