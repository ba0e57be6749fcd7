import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from mainspring.edges.api.app import Entry, refuse_unlisted
from mainspring.kernel.errors import Refused


async def _nothing(request: object) -> None: ...


LISTED = (Entry("/a", "GET", "open", _nothing),)


def test_a_router_with_only_listed_routes_may_start() -> None:
    refuse_unlisted(Starlette(routes=[Route("/a", _nothing, methods=["GET"])]), LISTED)


@pytest.mark.parametrize(
    "route",
    [
        Route("/b", _nothing, methods=["GET"]),
        Route("/a", _nothing, methods=["POST"]),
        Route("/a", _nothing, methods=["GET", "PUT"]),
        Mount("/files", routes=[]),
    ],
)
def test_an_unlisted_route_or_method_stops_the_start(route: Route | Mount) -> None:
    with pytest.raises(Refused, match="is not in the table of routes"):
        refuse_unlisted(Starlette(routes=[route]), LISTED)
