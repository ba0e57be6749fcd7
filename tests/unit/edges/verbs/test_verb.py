import os
from typing import Any

import msgspec
import polars as pl
import pytest

from mainspring.edges.verbs import GROUPS, VERBS, find
from mainspring.edges.verbs.verb import Change, plain
from mainspring.kernel.errors import InvalidInput, NotFound


def test_names_are_unique_and_groups_are_in_the_table_of_contents() -> None:
    names = [verb.name for verb in VERBS]
    assert len(names) == len(set(names))
    assert {verb.group for verb in VERBS} <= set(GROUPS)


def test_no_name_is_both_a_verb_and_the_first_word_of_others() -> None:
    firsts = {verb.name.split()[0] for verb in VERBS if " " in verb.name}
    assert not firsts & {verb.name for verb in VERBS}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_argument_says_what_it_is(verb: Any) -> None:
    found = msgspec.inspect.type_info(verb.arguments)
    assert isinstance(found, msgspec.inspect.StructType)
    assert found.forbid_unknown_fields
    for field in found.fields:
        assert isinstance(field.type, msgspec.inspect.Metadata), field.name
        assert (field.type.extra_json_schema or {}).get("description"), field.name
    assert set(verb.positional) <= set(verb.arguments.__struct_fields__)
    assert verb.summary
    assert not verb.summary.endswith(".")


def test_releases_aliases_overrides_and_alarms_are_not_changed_without_a_reason() -> None:
    asked = {verb.name for verb in VERBS if issubclass(verb.arguments, Change)}
    assert asked == {
        "override",
        "alias set",
        "release start",
        "release hold",
        "release resume",
        "release abort",
        "release promote",
        "release rollback",
        "acknowledge",
        "environment approve",
        "environment record",
        "release approve",
        "release change",
        "erase",
        "policy set",
    }


def test_reads_never_ask_for_a_reason() -> None:
    assert not [v.name for v in VERBS if not v.mutates and "reason" in v.arguments.__struct_fields__]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"modle": "late", "version": "1"}, "modle: there is no such argument; did you mean 'model'?"),
        ({"model": "late"}, "version: is missing; give it a value"),
        ({"model": 3, "version": "1"}, "model: must be text (got 3)"),
    ],
)
def test_a_wrong_argument_is_named_with_the_nearest_right_word(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        find("check").read(values)
    assert refused.value.sentence() == sentence


def test_an_unknown_verb_names_the_nearest_one() -> None:
    with pytest.raises(NotFound, match="did you mean 'release start'"):
        find("release strat")


def test_frames_and_numbers_of_other_libraries_become_plain() -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert plain({"rows": frame, "mean": frame["a"].to_numpy().mean(), "n": frame["a"].to_numpy()[0]}) == {
        "rows": [{"a": 1}, {"a": 2}],
        "mean": 1.5,
        "n": 1,
    }


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.paths], ids=lambda verb: verb.name)
@pytest.mark.parametrize("path", ["\0", "a\0b", "/tmp/a\0", "x" * 256, "/tmp/" + "ü" * 200, "/" + "a/" * 3_000])
def test_what_no_file_can_be_called_is_no_path(verb, path):
    given = {field.encode_name: "x" for field in msgspec.structs.fields(verb.arguments) if field.required}
    for name in verb.paths:
        with pytest.raises(InvalidInput, match=f"{name}: is not a path"):
            verb.read({**given, name: path})


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.paths], ids=lambda verb: verb.name)
def test_a_pipe_or_a_circle_of_links_is_waited_for_by_no_verb(verb, tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe")
    given = {field.encode_name: "x" for field in msgspec.structs.fields(verb.arguments) if field.required}
    for name in verb.paths:
        for place in ("pipe", "circle"):
            with pytest.raises(InvalidInput, match=f"{name}: is n"):
                verb.read({**given, name: str(tmp_path / place)})
