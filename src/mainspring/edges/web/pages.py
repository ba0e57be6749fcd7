"""The pages there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.web.render import fill, fixed
from mainspring.kernel.errors import MainspringError, NotFound

if TYPE_CHECKING:
    from mainspring.platform import Platform

_REFRESH_S, _SLOW_S = 20, 120  # the latter where rows of the log are read for a page
_HEADINGS = (("/", "Loop"), ("/alarms", "Alarms"), ("/predictions", "Predictions"), ("/ledger", "Ledger"))


class Page(msgspec.Struct, frozen=True):
    """One address and what it shows. ``render`` takes the platform and the names in the address.

    A ``private`` one shows people's data, or works something out at each look: it is never open to everybody.
    """

    path: str
    render: Callable[[Any, Mapping[str, Any]], bytes]
    media_type: str = "text/html; charset=utf-8"
    private: bool = False


def _loop(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.gather import read_loop

    return _fill(platform, "/", "loop.html", loop_view=read_loop(platform))


def _model(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.gather import read_model_page

    model, entries = read_model_page(platform, names["project"], names["model"])
    return _fill(platform, "", "model.html", model=model, entries=entries)


def _release(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.releases import read_release

    return _fill(platform, "", "release.html", release=read_release(platform, names["id"]))


def _sample(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.releases import read_sample

    release, rows = read_sample(platform, names["id"])
    return _fill(platform, "", "sample.html", release=release, rows=rows, refresh_s=_SLOW_S)


def _again(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.releases import read_again

    release, again = read_again(platform, names["id"])
    return _fill(platform, "", "again.html", release=release, again=again, refresh_s=0)


def _version(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.versions import read_version

    return _fill(platform, "", "version.html", version=read_version(platform, names["id"]), worth=None)


def _worth(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.versions import read_worth

    version, worth = read_worth(platform, names["id"])
    return _fill(platform, "", "version.html", version=version, worth=worth, refresh_s=0)


def _rehearsal(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.rehearsals import read_rehearsal

    model, rehearsal = read_rehearsal(platform, names["id"])
    return _fill(platform, "", "rehearsal.html", model=model, rehearsal=rehearsal)


def _alarms(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.alarms import read_alarms

    return _fill(platform, "/alarms", "alarms.html", alarms=read_alarms(platform))


def _alarm(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.alarms import read_alarm

    return _fill(platform, "/alarms", "alarm.html", found=read_alarm(platform, names["id"]))


def _find_prediction(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return _fill(platform, "/predictions", "predictions.html", models=platform.registry.models(), model=None, lines=())


def _predictions(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.predictions import read_newest

    model, lines = read_newest(platform, names["project"], names["model"])
    return _fill(platform, "/predictions", "predictions.html", models=(), model=model, lines=lines, refresh_s=_SLOW_S)


def _prediction(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.predictions import read_prediction

    return _fill(platform, "/predictions", "prediction.html", prediction=read_prediction(platform, names["id"]))


def _replay(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.predictions import read_replay

    try:
        replay, refused = read_replay(platform, names["id"]), ""
    except NotFound:
        raise
    except MainspringError as error:
        replay, refused = None, error.sentence()
    return _fill(
        platform, "/predictions", "replay.html", id=names["id"], replay=replay, refused=refused, refresh_s=0
    )  # fmt: skip


def _ledger(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.audit import read_ledger

    found = read_ledger(
        platform, kind=names.get("kind"), subject=names.get("subject"), before=_number(names.get("before"))
    )
    return _fill(platform, "/ledger", "ledger.html", ledger=found, before=names.get("before"))


def _entry(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.audit import read_entry

    return _fill(platform, "/ledger", "entry.html", entry=read_entry(platform, _number(names["seq"]) or 0))


def _served(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.audit import read_served

    time, served = read_served(platform, names["time"])
    return _fill(platform, "/ledger", "served.html", time=time, served=served)


def _proof(platform: Platform, names: Mapping[str, Any]) -> bytes:
    from mainspring.edges.web.audit import read_proof

    return _fill(platform, "/ledger", "proof.html", proof=read_proof(platform), refresh_s=0)


def missing(platform: Platform, words: str) -> bytes:
    """Return the page that says why there is nothing at an address."""
    return _fill(platform, "", "missing.html", words=words)


def _number(text: str | None) -> int | None:
    """Return a number of an entry; what is none is no entry."""
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise NotFound("there is no such entry", field="entry", value=text, remedy="see: mainspring ledger list")
    return int(text)


def _style(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("style.css")


def _orders(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("order.js")


def _live(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("live.js")


def _icon(platform: Platform, names: Mapping[str, Any]) -> bytes:
    return fixed("icon.svg")


def _fill(platform: Platform, here: str, template: str, **values: Any) -> bytes:
    """Fill a template with its values and what stands on every page; what is worked out anew is not asked for again."""
    frame = {
        "loop_home": str(platform.home.root),
        "now_us": platform.clock.now_us(),
        "simulated": platform.home.simulated,
        "refresh_s": _REFRESH_S,
        "pages": _HEADINGS,
        "here": here,
    }
    return fill(template, **{**frame, **values})


_SCRIPT = "text/javascript; charset=utf-8"

PAGES: tuple[Page, ...] = (
    Page("/", _loop),
    Page("/models/{project}/{model}", _model),
    Page("/models/{project}/{model}/predictions", _predictions, private=True),
    Page("/releases/{id}", _release),
    Page("/releases/{id}/again", _again, private=True),
    Page("/releases/{id}/sample", _sample, private=True),
    Page("/versions/{id}", _version),
    Page("/versions/{id}/worth", _worth, private=True),
    Page("/rehearsals/{id}", _rehearsal),
    Page("/alarms", _alarms),
    Page("/alarms/{id}", _alarm),
    Page("/predictions", _find_prediction),
    Page("/predictions/{id}", _prediction, private=True),
    Page("/predictions/{id}/replay", _replay, private=True),
    Page("/ledger", _ledger),
    Page("/ledger/verify", _proof, private=True),
    Page("/ledger/at/{time}", _served),
    Page("/ledger/before/{before}", _ledger),
    Page("/ledger/kind/{kind}", _ledger),
    Page("/ledger/about/{subject}", _ledger),
    Page("/ledger/{seq}", _entry),
    Page("/style.css", _style, "text/css; charset=utf-8"),
    Page("/order.js", _orders, _SCRIPT),
    Page("/live.js", _live, _SCRIPT),
    Page("/icon.svg", _icon, "image/svg+xml"),
)
