"""The shape of the route table: a line for each handler, and how a path finds its line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, get_args

import msgspec

from mainspring.edges.gateway.limits import WrongMethod, problem
from mainspring.kernel.errors import NotFound, Refused, nearest

Permission = Literal["open", "predict", "outcome", "read", "operate"]
# What may be asked without a key: whether it lives and may be asked, and what kind of server it is.
OPEN = frozenset(("/live", "/ready", "/v2", "/v2/health/live", "/v2/health/ready", "/ping", "/health"))
Said = int | Awaitable[int] | None  # the status, now or when it is awaited; None: it answers by itself, soon
Problem = Callable[[BaseException], tuple[int, list[tuple[str, str]], bytes]]


class Route(msgspec.Struct, frozen=True):
    """One line: ``/v2/models/{name}/infer``. What stands in braces is handed to the handler, in that order.

    A handler answers by itself and says with which status. ``problem`` says an error in the words of the route's
    protocol. ``spared`` routes answer however busy the gateway is.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[..., Said]
    permission: Permission
    problem: Problem = problem
    spared: bool = False
    label: str = ""  # what metrics call it


class RouteTable:
    """Finds lines by method and path; most requests go to ``/word/{name}``, which is one look-up."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes = [_labelled(route) for route in routes]
        _refuse_careless(routes)
        self._plain = {route.path[1:]: route for route in routes if "{" not in route.path}
        self._named = {_word(route.path): route for route in routes if _word(route.path)}
        self._longer: dict[str, list[tuple[list[str], Route]]] = {}
        for route in routes:
            if "{" in route.path and not _word(route.path):
                first, *rest = route.path[1:].split("/")
                self._longer.setdefault(first, []).append((rest, route))

    def find(self, method: str, path: str) -> tuple[Route, Sequence[str]]:
        """Return the line and what the braces stand for; raises ``NotFound`` or ``WrongMethod``."""
        first, _, name = path[1:].partition("/")
        route = self._named.get(first) if name else self._plain.get(first)
        arguments: Sequence[str] = (name,) if name else ()
        if route is None or "/" in name:
            route, arguments = self._search(method, path, first, name)
        if route.method != method:
            raise WrongMethod(method, route.method)
        return route, arguments

    def problem(self, path: str) -> Problem:
        """Return how an error is said at a path that no line has: as its neighbours say it."""
        neighbours = self._longer.get(path[1:].partition("/")[0])
        return neighbours[0][1].problem if neighbours else problem

    def _search(self, method: str, path: str, first: str, rest: str) -> tuple[Route, Sequence[str]]:
        other = self._plain.get(path[1:])
        if other is not None:
            return other, ()
        found: tuple[Route, Sequence[str]] | None = None
        given = rest.split("/")
        for pattern, route in self._longer.get(first, ()):
            arguments = _match(pattern, given)
            if arguments is not None and (found is None or route.method == method):
                found = route, arguments
                if route.method == method:
                    break
        if found is None:
            raise NotFound("there is no such route", field="path", value=path, remedy=self._nearest(first, rest))
        return found

    def _nearest(self, first: str, rest: str) -> str:
        paths = [route.path for route in self.routes]
        same = [path for path in paths if path.split("/")[1] == first]
        if len(same) == 1:
            return f"ask {same[0]}"
        asked = f"/{first}/{rest}" if same else f"/{first}/{{name}}" if rest else f"/{first}"
        return nearest(asked, same or paths)


def _refuse_careless(routes: Sequence[Route]) -> None:
    """Refuse to start with a route that is listed twice, has no known permission, or is open and not meant to be."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        shown = f"{route.method} {route.path}"
        if route.permission not in get_args(Permission):
            raise Refused("has no permission", field="route", value=shown)
        if route.permission == "open" and route.path not in OPEN:
            raise Refused("is not among those that may be open", field="route", value=shown)
        if (route.method, route.path) in seen:
            raise Refused("is listed twice", field="route", value=shown)
        seen.add((route.method, route.path))


def _labelled(route: Route) -> Route:
    return msgspec.structs.replace(route, label=route.label or route.path[1:].removesuffix("/{name}"))


def _word(path: str) -> str:
    """Return the word of ``/word/{name}``, or nothing for a path of another shape."""
    word, _, rest = path[1:].partition("/")
    return word if rest == "{name}" else ""


def _match(pattern: Sequence[str], given: Sequence[str]) -> list[str] | None:
    if len(pattern) != len(given):
        return None
    arguments = []
    for part, text in zip(pattern, given, strict=True):
        if part[0] != "{":
            if part != text:
                return None
            continue
        suffix = part[part.index("}") + 1 :]
        if not text.endswith(suffix) or len(text) == len(suffix):
            return None
        arguments.append(text[: len(text) - len(suffix)])
    return arguments
