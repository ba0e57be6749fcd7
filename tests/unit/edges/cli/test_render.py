import pytest

from mainspring.edges.cli.render import show, text_of
from mainspring.edges.verbs import find


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("created_us", 1_367_582_400_000_000, "2013-05-03T12:00:00Z"),
        ("over_us", 10_800_000_000, "3h"),
        ("latency_us", 420, "0.42ms"),
        ("ok", True, "yes"),
        ("value", None, "–"),
        ("value", 0.1234567891, "0.123457"),
        ("reason", "", "–"),
        ("numbers", {"n": 3, "at_us": 1_367_582_400_000_000}, "n=3, at=2013-05-03T12:00:00Z"),
        ("names", ["a", "b"], "a, b"),
        (
            "notes",
            ["copies made before, which are yours, stay as they are", "mend them"],
            "copies made before, which are yours, stay as they are\nmend them",
        ),
    ],
)
def test_values_read_as_people_write_them(name: str, value: object, text: str) -> None:
    assert text_of(name, value) == text


def test_a_list_is_a_table_of_the_verbs_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"seq": 1, "at_us": 1_367_582_400_000_000, "actor": "ana", "kind": "a.b", "about": "x", "reason": "[why]"}]
    show(find("ledger list"), rows, as_json=False)
    heading, line = (part.split() for part in capsys.readouterr().out.splitlines())
    assert heading == ["seq", "at", "actor", "kind", "about", "reason"]
    assert line == ["1", "2013-05-03T12:00:00Z", "ana", "a.b", "x", "[why]"]


def test_two_columns_never_have_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"id": "reh_1", "promotion": {"share": 0.9}, "rollback": {"share": 0.1}, "plays": 100}]
    show(find("rehearsal list"), found, as_json=False)
    assert capsys.readouterr().out.split("\n")[0].split() == ["id", "promotion", "share", "rollback", "share", "plays"]


def test_two_lines_never_have_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    release = {"id": "rel_1", "forecast": {"reason": "500 units a day"}, "reason": "shadow_passed"}
    show(find("release show"), release, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "id               rel_1", "forecast reason  500 units a day", "reason           shadow_passed",
    ]  # fmt: skip


def test_settings_are_shown_with_their_values_though_one_of_them_is_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"setting": "hosts", "value": ["a.example", "b.example"], "from": "settings.toml"},
        {"setting": "s3_cache_mb", "value": 4000, "from": "default"},
    ]
    show(find("config"), rows, as_json=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["setting", "value", "from"],
        ["hosts", "a.example,", "b.example", "settings.toml"],
        ["s3_cache_mb", "4000", "default"],
    ]


def test_a_file_keeps_its_name_and_no_line_ends_with_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    show(find("version"), {"number": 1, "files": {"model.onnx": "ab", "packed.onnx": "cdef"}}, as_json=False)
    assert capsys.readouterr().out == "number             1\nfiles model.onnx   ab\nfiles packed.onnx  cdef\n"


def test_an_empty_list_says_none(capsys: pytest.CaptureFixture[str]) -> None:
    show(find("alarms"), [], as_json=False)
    assert capsys.readouterr().out == "none\n"


def test_json_is_everything(capsys: pytest.CaptureFixture[str]) -> None:
    show(find("ledger head"), {"entries": 2, "head": "ab"}, as_json=True)
    assert capsys.readouterr().out == '{\n  "entries": 2,\n  "head": "ab"\n}\n'
