"""What the audience sees: a progress line on a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mainspring.edges.demo.report import Report
from mainspring.edges.demo.script import MONTHS

_PLAIN_EVERY = timedelta(days=7)
_COLUMNS = ("month", "flights", "AUC", "AUC of v1", "log loss", "log loss of v1", "late", "champion")


class Stage:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    @contextmanager
    def progress(self, since: datetime, until: datetime) -> Iterator[Callable[[datetime, str], None]]:
        """Show how far the play is; the decisions on the way are printed as they are made."""
        if not self._console.is_terminal:
            yield self._plain(since)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as bar:
            total = (until - since) / timedelta(hours=1)
            task = bar.add_task(f"{since:%d %b}", total=total)

            def show(moment: datetime, actions: str) -> None:
                done = min(total, (moment - since) / timedelta(hours=1))
                bar.update(task, completed=done, description=f"{moment:%d %b}")
                self._decided(moment, actions)

            yield show

    def _plain(self, since: datetime) -> Callable[[datetime, str], None]:
        shown = since

        def show(moment: datetime, actions: str) -> None:
            nonlocal shown
            self._decided(moment, actions)
            if moment - shown >= _PLAIN_EVERY:
                shown = moment
                self.say(f"{moment:%Y-%m-%d}")

        return show

    def _decided(self, moment: datetime, actions: str) -> None:
        words = [word for word in actions.split(", ") if word and not word.startswith("StepRelease")]
        if words:
            self.say(f"{moment:%Y-%m-%d %H:%M}Z  " + ", ".join(word.split()[0] for word in words))

    def tell(self, report: Report) -> None:
        """Print the whole report."""
        table = Table(title="Flights of 2013: will it arrive more than 15 minutes late?", title_justify="left")
        for name in _COLUMNS:
            table.add_column(name, justify="left" if name == "month" else "right")
        for month in report.months:
            table.add_row(*_cells(month))
        self._console.print(table)
        for decision in report.decisions:
            self.say(f"{decision['at']}  {decision['kind']:24} {_who(decision['numbers'])}{decision['reason']}")
        self.say("")
        for challenger in report.challengers:
            became = f"{challenger['outcome']} in {challenger['stage']}"
            self.say(f"challenger {challenger['name']}: {became}, {challenger['reason']}")
        gain = report.gain
        if gain.get("saved") is not None:
            low, high = gain["interval"]
            self.say(
                f"renewal  saved {gain['saved']:.4f} of log loss over version 1: {gain['static_log_loss']:.4f} -> "
                f"{gain['served_log_loss']:.4f} (95 % over days: {low:.4f} to {high:.4f})"
            )
            self.say(
                f"care     monthly retraining put live unseen would have saved {gain['careless_saved']:.4f}: "
                f"being careful cost {gain['cost_of_care']:.4f}" + _kept(gain["recovered_share"])
            )
        self._numbers(report)

    def _numbers(self, report: Report) -> None:
        requests, logged, ledger = report.requests, report.logged, report.ledger
        self.say(f"requests {requests['sent']} sent, {requests['answered']} answered, {requests['failed']} failed")
        self.say(
            f"logged   {logged['predictions']} predictions, {logged['outcomes']} outcomes, "
            f"{logged['doubled']} doubled, {logged['lost']} lost"
        )
        self.say(f"ledger   {ledger['entries']} entries, {'verified' if ledger['verified'] else 'BROKEN'}")
        replay = report.replay
        said = "the same bytes" if replay["equal"] else f"DIFFERENT: {replay.get('reason')}"
        self.say(f"replay   {replay['id']}: {said}")
        self.say(f"took     {report.seconds:.0f} s, at most {report.peak_rss_mb:.0f} MB in all processes")


def _kept(share: float | None) -> str:
    return "" if share is None else f" and kept {share:.0%} of the gain"


def _cells(month: dict[str, Any]) -> list[str]:
    def number(name: str) -> str:
        return "-" if month[name] is None else f"{month[name]:.3f}"

    return [
        MONTHS[month["month"] - 1].capitalize(),
        f"{month['n']:,}",
        number("served_auc"),
        number("static_auc"),
        number("served_log_loss"),
        number("static_log_loss"),
        number("base_rate"),
        f"v{month['champion']}",
    ]


def _who(numbers: dict[str, Any]) -> str:
    challenger, champion = numbers.get("challenger"), numbers.get("champion")
    return f"v{challenger} against v{champion}: " if challenger and champion else ""
