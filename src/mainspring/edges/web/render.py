"""Fills the templates. Text is always escaped; drawings are the only markup that is passed through."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mainspring.edges.web import charts, drawings, numbers, words

_HERE = Path(__file__).parent


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "day": words.day,
        "moment": words.moment,
        "machine_time": words.machine_time,
        "iso": words.iso,
        "item": words.item,
        "exact": words.exact,
        "milliseconds": words.milliseconds,
        "ago": words.ago,
        "number": words.number,
        "how_many": words.how_many,
        "signed": words.signed,
        "share": words.share,
        "plain_words": words.plain_words,
        "spoken": words.spoken,
        "grouped": numbers.grouped,
        "draw_reigns": drawings.draw_reigns,
        "draw_evidence": charts.draw_evidence,
        "draw_shares": charts.draw_shares,
        "draw_chances": drawings.draw_chances,
        "draw_spread": drawings.draw_spread,
        "draw_swatch": drawings.draw_swatch,
        "draw_level": drawings.draw_level,
        "draw_windows": charts.draw_windows,
        "draw_worth": drawings.draw_worth,
    }
    return environment


def _seen(value: Any) -> Any:
    """Keep markup of our own as it is, and let nothing hide in a text."""
    return words.visible(value) if type(value) is str else value


def fill(template: str, **values: Any) -> bytes:
    """Return a page."""
    return _templates().get_template(template).render(**values).encode()


@cache
def fixed(name: str) -> bytes:
    """Return a file that stands beside the templates."""
    return (_HERE / name).read_bytes()
