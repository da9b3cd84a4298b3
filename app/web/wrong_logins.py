"""How often somebody may try to log in: wrong tries are counted by name and by address."""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address

from cachetools import LRUCache
from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool

from app.web.limits import ServerLimits

TOO_MANY = "Too many wrong logins; try again in {}."
_MAX_KNOWN = 2**14
_NET_OF_ONE = 64  # bits: who has one address of IPv6 has as many as these leave
ADDRESS: ContextVar[str] = ContextVar("address", default="")
"""Where the request under way comes from."""


class WrongLogins:
    """Counts wrong tries to log in: `most` of a name or from an address within `secs` seconds; the
    next one then waits until the first of them is so old.

    To be used from one thread. Of names and addresses that have long not been used the oldest are
    forgotten, so that memory is bounded. `clock` gives seconds.
    """

    def __init__(
        self, most: int, secs: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._secs, self._clock = most, secs, clock
        self._tries: dict[str, LRUCache[str, deque[float]]] = {
            kind: LRUCache(_MAX_KNOWN) for kind in ("name", "address")
        }

    def wait_secs(self, name: str, address: str) -> float:
        """How long a name or an address has to wait before it may try; 0: it may."""
        return max(self._wait(tries) for tries in self._of(name, address))

    def begin(self, name: str, address: str) -> None:
        """Count a try as wrong, until it was right: those that come meanwhile know of it."""
        for tries in self._of(name, address):
            tries.append(self._clock())

    def was_right(self, name: str, address: str) -> None:
        """Forget what was counted against a name, and one try of an address: who may come in has
        no more tries at others' names for it.
        """
        of_name, of_address = self._of(name, address)
        of_name.clear()
        if of_address:
            of_address.pop()

    def _of(self, name: str, address: str) -> list[deque[float]]:
        """When a name, and an address, were last tried, the oldest first."""
        keys = {"name": _short(name), "address": _of_one(address)}
        return [
            self._tries[kind].setdefault(key, deque(maxlen=self._most))
            for kind, key in keys.items()
        ]

    def _wait(self, tries: deque[float]) -> float:
        if len(tries) < self._most:
            return 0.0
        return max(0.0, tries[0] + self._secs - self._clock())


def guarded(
    is_allowed: Callable[[str, str], bool], limits: ServerLimits
) -> Callable[[str, str], object]:
    """What Gradio asks at each login: refuses too many wrong tries with a sentence, before any
    password is looked at.
    """
    wrong = WrongLogins(limits.wrong_logins, limits.login_secs)

    async def may_enter(name: str, password: str) -> bool:
        address = ADDRESS.get()
        if secs := wrong.wait_secs(name, address):
            raise HTTPException(429, _sentence(secs), {"Retry-After": str(math.ceil(secs))})
        wrong.begin(name, address)
        # Hashing takes long on purpose: others are answered meanwhile.
        is_right = await run_in_threadpool(is_allowed, name, password)
        if is_right:
            wrong.was_right(name, address)
        return is_right

    return may_enter


def _sentence(secs: float) -> str:
    wait = f"{math.ceil(secs)} s" if secs <= 90 else f"{math.ceil(secs / 60)} minutes"
    return TOO_MANY.format(wait)


def _short(name: str) -> str:
    """A name of any length in few characters."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _of_one(address: str) -> str:
    """What one visitor can be taken to have of addresses."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(int(found) >> (128 - _NET_OF_ONE))
    return str(found)
