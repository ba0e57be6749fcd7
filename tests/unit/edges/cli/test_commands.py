import inspect
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from mainspring.edges.cli.commands import command_line, run
from mainspring.edges.verbs import VERBS


def test_help_lists_every_verb_under_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Options:",
        "Project:",
        "Data:",
        "Training:",
        "Checks:",
        "Registry:",
        "Release:",
        "Serving:",
        "Monitoring:",
        "Ledger:",
        "Keys:",
        "Home:",
        "Demo:",
    ]
    for verb in VERBS:
        assert any(line.startswith(f"  {verb.name}  ") for line in lines), verb.name


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(command: click.Command, words: list[str]) -> None:
        assert run([*words, "--help"]) == 0
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                walk(inner, [*words, name])

    walk(command_line(), [])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian"], "error: there is no command 'trian'; did you mean 'train'?"),
        (["release", "strat"], "error: there is no command 'strat'; did you mean 'start'?"),
        (["train"], "error: model: is missing; give it a value; see: mainspring train --help"),
        (["release", "hold"], "error: release: is missing; give it a value; see: mainspring release hold --help"),
        (["release", "hold", "late"], "error: reason: is missing; give it with --reason"),
        (["ledger", "list", "--limit", "0"], "error: limit: must be a whole number >= 1 (got 0)"),
        (["ledger", "list", "--limt", "3"], "error: no such option '--limt'"),
        (["backtest", "late", "--origins", "x"], "error: invalid value for '--origins'"),
    ],
)
def test_a_wrong_use_is_one_sentence_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(sentence)
    assert told.err.count("\n") == 1


def test_a_missing_home_is_one_sentence_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(tmp_path / "none"), "status"]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("error: home: there is no home here")
    assert told.err.count("\n") == 1


def test_errors_are_json_where_json_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json", "--home", str(tmp_path / "none")]) == 1
    assert '"code":"not_found"' in capsys.readouterr().err


def test_a_file_argument_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    from mainspring.edges.cli.commands import FileBytes

    (tmp_path / "a").write_bytes(b"\x00\x01")
    assert FileBytes().convert(tmp_path / "a", None, None) == b"\x00\x01"
    with pytest.raises(click.UsageError, match="cannot be read"):
        FileBytes().convert(tmp_path / "b", None, None)


def test_nothing_heavy_is_imported_for_help() -> None:
    import subprocess

    script = (
        "import sys; from mainspring.edges.cli.commands import run; run(['--help']); "
        "sys.exit(any(name in sys.modules for name in ('polars', 'sqlalchemy', 'numpy', 'rich', 'starlette')))"
    )
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_no_library_that_only_models_and_evidence_need_is_imported_to_open_a_home() -> None:
    import subprocess

    script = (
        "import sys, mainspring.platform, mainspring.edges.control, mainspring.edges.api.server; "
        "print(*sorted({'scipy', 'onnx', 'onnxruntime', 'sklearn', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert told.split() == []


def test_no_argument_of_a_verb_is_kept_by_the_command_for_itself() -> None:
    whole = command_line()
    for verb in VERBS:
        command: Any = whole
        for word in verb.name.split():
            command = command.commands[word]
        own = set(inspect.signature(command.callback).parameters) - {"given"}
        assert own == {"context", "as_json", "home", "said_by"}
        assert not own & set(verb.arguments.__struct_encode_fields__), verb.name
