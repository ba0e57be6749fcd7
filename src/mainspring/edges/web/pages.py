"""The pages there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Page(msgspec.Struct, frozen=True):
    """One address and what it shows."""

    path: str
    render: Callable[[Any, Mapping[str, Any]], bytes]
    media_type: str = "text/html; charset=utf-8"


PAGES: tuple[Page, ...] = ()
