from mainspring.kernel.errors import InvalidInput, InvalidProject, nearest, unknown


def test_an_error_names_the_field_the_value_and_the_remedy():
    error = InvalidInput("must be positive", field="margin", value=-1, remedy="give a margin above 0")
    assert str(error) == "margin: must be positive (got -1); give a margin above 0"
    assert error.as_dict() == {
        "code": "invalid_input",
        "message": "margin: must be positive (got -1); give a margin above 0",
        "field": "margin",
        "remedy": "give a margin above 0",
    }


def test_a_project_shows_all_its_faults_at_once():
    error = InvalidProject([InvalidInput("is missing", field="a"), InvalidInput("is unknown", field="b")])
    assert str(error) == "the project has 2 faults:\n  a: is missing\n  b: is unknown"


def test_an_unknown_name_is_answered_with_the_nearest_one():
    assert nearest("championn", ["champion", "shadow"]) == "did you mean 'champion'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", []) == "none is known yet"
    assert str(unknown("model", "lat", ["late"])) == "model: there is no such model (got 'lat'); did you mean 'late'?"


def test_a_long_value_is_cut():
    assert len(str(InvalidInput("is too long", value="x" * 1_000))) < 120
