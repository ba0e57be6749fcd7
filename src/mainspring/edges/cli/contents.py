"""Help that reads like a table of contents, and the nearest command for a misspelt one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from mainspring.kernel.errors import nearest


class Subject(click.Command):
    """One command; ``about`` explains its positional arguments."""

    def __init__(self, *, about: Sequence[tuple[str, str]] = (), **settings: Any) -> None:
        super().__init__(**settings)
        self.about = [line for line in about if line[1]]

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        if self.about:
            with formatter.section("Arguments"):
                formatter.write_dl([(name.upper(), text) for name, text in self.about])
        super().format_options(context, formatter)


class Chapter(click.Group):
    """A word that other words follow, such as ``release``."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = arguments[0]
        if not word.startswith("-") and self.get_command(context, word) is None:
            raise click.UsageError(f"there is no command '{word}'; {nearest(word, self.commands)}", context)
        return super().resolve_command(context, arguments)


class Contents(Chapter):
    """The whole command line, with its commands listed by group."""

    def __init__(self, *, groups: Sequence[str], **settings: Any) -> None:
        super().__init__(no_args_is_help=True, **settings)
        self._lines: dict[str, list[tuple[str, click.Command]]] = {group: [] for group in groups}

    def add(self, name: str, group: str, command: click.Command) -> None:
        """Put a command where its name says: ``release start`` is ``start`` under ``release``."""
        *before, last = name.split()
        place: click.Group = self
        for word in before:
            place = _chapter(place, word)
        place.add_command(command, last)
        self._lines[group].append((name, command))

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for group, lines in self._lines.items():
            if lines:
                with formatter.section(group):
                    formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in lines], col_max=20)


def _chapter(place: click.Group, word: str) -> click.Group:
    found = place.commands.get(word)
    if isinstance(found, click.Group):
        return found
    chapter = Chapter(name=word, help=f"Verbs of {word}.") if found is None else Chapter(name=word, help=found.help)
    place.add_command(chapter, word)
    return chapter
