"""The pages there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.web.render import fill, fixed

if TYPE_CHECKING:
    from mainspring.platform import Platform

_REFRESH_S = 30


class Page(msgspec.Struct, frozen=True):
    """One address and what it shows. ``render`` takes the platform and the names in the address."""

    path: str
    render: Callable[[Any, Mapping[str, Any]], bytes]
    media_type: str = "text/html; charset=utf-8"


def _loop(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.gather import read_loop

    return fill("loop.html", loop_view=read_loop(platform), **_frame(platform, refresh=_REFRESH_S))


def _model(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.gather import read_model_page

    model, entries = read_model_page(platform, names["project"], names["model"])
    return fill("model.html", model=model, entries=entries, **_frame(platform))


def _release(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.releases import read_release

    return fill("release.html", release=read_release(platform, names["id"]), **_frame(platform))


def _style(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("style.css")


def _script(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("order.js")


def _icon(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("icon.svg")


def _frame(platform: Platform, *, refresh: int | None = None) -> dict[str, Any]:
    return {
        "loop_home": str(platform.home.root),
        "now_us": platform.clock.now_us(),
        "simulated": platform.home.simulated,
        "refresh": refresh,
    }


PAGES: tuple[Page, ...] = (
    Page("/", _loop),
    Page("/models/{project}/{model}", _model),
    Page("/releases/{id}", _release),
    Page("/style.css", _style, "text/css; charset=utf-8"),
    Page("/order.js", _script, "text/javascript; charset=utf-8"),
    Page("/icon.svg", _icon, "image/svg+xml"),
)
