import os
from typing import Any

import msgspec
import polars as pl
import pytest

from mainspring.edges.verbs import GROUPS, VERBS, find
from mainspring.edges.verbs.verb import Change, Work, plain
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


DECIDE = {
    "override", "alias set", "release start", "release hold", "release resume", "release abort", "release promote",
    "release rollback", "release approve", "release change", "policy set", "acknowledge", "environment approve",
    "environment record", "erase", "key create", "key revoke",
}  # fmt: skip
MAKE = {"train", "register", "mlflow register", "rehearse", "log retain"}
FIND_OR_GO_ON = {
    "apply", "check", "backtest", "score", "ingest", "environment build", "loop step", "loop ingest", "log publish",
    "backup",
}  # fmt: skip


def test_one_rule_says_which_verbs_ask_for_a_reason_and_which_may_be_told_one() -> None:
    changing = {verb.name: verb.arguments for verb in VERBS if verb.mutates}
    assert {name for name, asked in changing.items() if issubclass(asked, Change)} == DECIDE
    assert {name for name, asked in changing.items() if issubclass(asked, Work)} == MAKE
    assert changing.keys() - DECIDE - MAKE == FIND_OR_GO_ON
    assert not [name for name in FIND_OR_GO_ON if "reason" in changing[name].__struct_fields__]


@pytest.mark.parametrize("name", sorted(DECIDE | MAKE))
def test_an_empty_reason_is_none(name: str) -> None:
    verb = find(name)
    fields = msgspec.inspect.type_info(verb.arguments).fields  # type: ignore[attr-defined]
    needed: dict[str, Any] = {
        one.encode_name: {"policy": {}, "file": "e30="}.get(one.name, "1") for one in fields if one.required
    }
    with pytest.raises(InvalidInput) as refused:
        verb.read({**needed, "reason": "  "}, strict=False)
    assert refused.value.field == "reason"
    if name in DECIDE:
        del needed["reason"]
        with pytest.raises(InvalidInput, match="reason: is missing"):
            verb.read(needed, strict=False)


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
