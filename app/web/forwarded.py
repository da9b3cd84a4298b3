"""Behind a reverse proxy: which of its headers are believed, and the folder that it serves."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

_TOLD_BY_PROXIES = (b"x-forwarded-", b"forwarded", b"x-real-ip")


class Forwarded:
    """ASGI middleware: takes what only a proxy may say off other requests, and `root_path`, the
    folder at which a proxy serves this app, off addresses that still have it.

    `trusted` are addresses or networks of proxies; "*" trusts all. The `client` of a request that
    came by way of them is who they say it came from.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[str], root_path: str = "") -> None:
        self._app, self._root_path = app, root_path
        self._trusts_all = "*" in (trusted := tuple(trusted))
        self._trusted = [ip_network(each) for each in trusted if each != "*"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, "path": self._below(scope["path"])}
            if self._is_proxy((scope.get("client") or ("",))[0]):
                scope["client"] = self._client(scope)
                said = dict(scope["headers"]).get(b"x-forwarded-proto", b"").split(b",")[0].strip()
                scope["scheme"] = "https" if said == b"https" else scope["scheme"]
            else:
                scope["headers"] = [
                    (name, value)
                    for name, value in scope["headers"]
                    if not name.startswith(_TOLD_BY_PROXIES)
                ]
        await self._app(scope, receive, send)

    def _below(self, path: str) -> str:
        root = self._root_path
        return path.removeprefix(root) if root and path.startswith(f"{root}/") else path

    def _client(self, scope: Scope) -> tuple[str, int] | None:
        """Where a request came from: each proxy adds whom it was asked by at the end, so the last
        one that is no proxy. Where all are trusted nobody can say which of them are proxies: the
        first then, which whoever asks may have made up.
        """
        said = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
        hosts = [host for each in said.split(",") if (host := _host(each.strip()))]
        others = [host for host in hosts if self._trusts_all or not self._is_proxy(host)]
        if not others:
            return scope.get("client")
        return others[0 if self._trusts_all else -1], 0

    def _is_proxy(self, host: str) -> bool:
        if self._trusts_all:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _host(text: str) -> str:
    """The address in `1.2.3.4:5`, `[::1]:5` or an address alone; empty if there is none."""
    bare = text.partition("]")[0].removeprefix("[")
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ip_address(bare))
    except ValueError:
        return ""
