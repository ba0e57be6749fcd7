"""A declaring file becomes plain data; every fault in it shows at once."""

import sys
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from mainspring.kernel.ids import digest
from mainspring.project.evaluate import local_files, run
from mainspring.project.manifest import Evaluated

GOOD = """
    import mainspring as ms

    trips = ms.Source("trips", "data/trips.csv", time="start", known_at="end", key="trip")
    by_place = ms.FeatureView(
        "by_place", source=trips, key="place", ttl="6h",
        features=[ms.share("minutes > 30", over="3h"), ms.count(over="1d"), ms.last("price")],
    )
    slow = ms.Model(
        "slow", entity="trip", keys="place", inputs=["price"], predict_at="start - 2h", features=[by_place],
        outcome=ms.Outcome("minutes > 30", source=trips, matures_after="36h", affected_by_answer=False),
        task="binary",
        checks=[ms.checks.metric("roc_auc", at_least=0.6)],
        release=ms.Canary(shadow="14d", steps=[0.1, 0.5], metric="log_loss", margin=0.01),
        monitors=[ms.Quality("log_loss")],
        retrain=ms.Retrain(every="30d", window="90d"),
    )

    @slow.trainer
    @slow.recipe("last_month", window="30d", inputs=["price"])
    def train(frame, params):
        ...

    @slow.rule
    def always(frame: "pl.DataFrame", params):
        ...
"""


@pytest.fixture(autouse=True)
def _forget_modules():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith(("mainspring", "polars")):
            del sys.modules[name]


def evaluated(folder: Path, text: str, file: str = "declared_here.py") -> Evaluated:
    (folder / file).write_text(dedent(text))
    manifest = run({"root": str(folder), "file": file, "project": "trips"}, folder / "staging")
    return msgspec.convert(manifest, Evaluated)


def faults(folder: Path, text: str) -> list[str]:
    return [fault.error().sentence() for fault in evaluated(folder, text).faults]


def test_a_good_file_has_no_faults(tmp_path):
    assert faults(tmp_path, GOOD) == []


def test_features_that_were_not_named_get_names_from_what_they_are(tmp_path):
    (view,) = evaluated(tmp_path, GOOD).revision.views
    assert [feature.name for feature in view.features] == ["share_minutes_gt_30_3h", "count_1d", "last_price"]
    assert view.ttl_us == 21_600_000_000


def test_the_moment_of_prediction_is_a_column_and_a_span(tmp_path):
    (model,) = evaluated(tmp_path, GOOD).revision.models
    assert (model.spec.predict_at.column, model.spec.predict_at.offset_us) == ("start", -7_200_000_000)


def test_the_trainer_comes_first_and_takes_its_window_from_retrain(tmp_path):
    (model,) = evaluated(tmp_path, GOOD).revision.models
    assert [(r.name, r.kind, r.window, r.inputs) for r in model.spec.recipes] == [
        ("default", "trainer", "90d", ("place", "price")),
        ("last_month", "trainer", "30d", ("price",)),
        ("rule", "rule", "90d", ("place", "price")),
    ]
    assert model.spec.recipes[0].function == "declared_here:train"


def test_a_function_gets_the_kind_of_frame_that_its_annotation_asks_for(tmp_path):
    (model,) = evaluated(tmp_path, GOOD).revision.models
    assert {recipe.name: recipe.frame for recipe in model.spec.recipes}["rule"] == "polars"
    assert model.spec.recipes[0].frame == "pandas"


def test_policies_are_stored_as_tagged_data(tmp_path):
    (model,) = evaluated(tmp_path, GOOD).revision.models
    assert model.release is not None
    assert (model.release["type"], model.release["steps"]) == ("canary", (0.1, 0.5))
    assert model.checks[0]["metric"] == "roc_auc"


def test_all_faults_show_at_once_each_with_the_nearest_right_word(tmp_path):
    found = faults(
        tmp_path,
        """
        import mainspring as ms

        trips = ms.Source("trips", "data/trips.csv", tme="start", time="start", known_at="end", key="trip")
        view = ms.FeatureView("by_place", source="trps", key="place", features=[ms.count(over="3 hours")])
        model = ms.Model(
            "slow", entity="trip", predict_at="2 hours before start", task="binry", features=["by_plce"],
            outcome=ms.Outcome("minutes >> 30 (", source=trips, matures_after="36h"),
            checks=[ms.checks.metrc("roc_auc", at_least=0.6), ms.checks.metric("roc_acu", at_least=0.6)],
            release=ms.Canary(shadow="14d", margn=0.01),
            retrain=ms.Retrain(every="monthly"),
        )
        """,
    )
    assert found == [
        "Source('trips').tme: is not a known key; did you mean 'time'?",
        "count.over = '3 hours': is not a duration; write a number and ms, s, m, h, d or w, such as 36h",
        "checks.metrc: there is no such check; did you mean 'metric'?",
        "checks.metric = 'roc_acu': there is no such metric; did you mean 'roc_auc'?",
        "Canary.margn: is not a known key; did you mean 'margin'?",
        "Retrain.every = 'monthly': is not a duration; write a number and ms, s, m, h, d or w, such as 36h",
        "Model('slow').predict_at = '2 hours before start': is not a moment; write a time column and a span, such as 'sched_dep - 2h'",  # noqa: E501
        "Model('slow').task = 'binry': is not one of the known words; did you mean 'binary'?",
        "Model('slow'): has neither a trainer nor a rule; write a function under @slow.trainer or @slow.rule",
        "FeatureView('by_place').source = 'trps': no source has this name; did you mean 'trips'?",
        "Model('slow').outcome = 'minutes >> 30 (': cannot be read: invalid expression (found unexpected token '('); write it like 'arr_delay > 15'",  # noqa: E501
        "Model('slow').features = 'by_plce': no view has this name; did you mean 'by_place'?",
    ]


def test_a_missing_argument_is_a_fault_and_no_reference_to_it_is_another(tmp_path):
    found = faults(
        tmp_path,
        """
        import mainspring as ms

        trips = ms.Source("trips", "data/trips.csv", known_at="end", key="trip")
        view = ms.FeatureView("by_place", source=trips, key="place", features=[ms.last("price")])
        """,
    )
    assert found == ["Source('trips'): time must be given; add time=…"]


def test_a_source_says_once_when_rows_were_known(tmp_path):
    found = faults(tmp_path, 'import mainspring as ms\ns = ms.Source("trips", "t.csv", time="start", key="trip")')
    assert len(found) == 1
    assert "give known_at='column' or known_after='30m'" in found[0]


def test_a_view_looked_up_by_a_column_that_no_request_carries_is_a_fault(tmp_path):
    found = faults(tmp_path, GOOD.replace('keys="place", ', ""))
    assert found == [
        "Model('slow').features = 'place': the view by_place is looked up by a column that no request carries; "
        "add 'place' to keys of slow"
    ]


def test_two_of_one_name_are_a_fault(tmp_path):
    again = GOOD + '    other = ms.Source("trips", "b.csv", time="start", known_after="0s", key="trip")\n'
    assert faults(tmp_path, again) == ["source = 'trips': there are two sources of this name; rename one of them"]


def test_a_file_that_raises_says_the_line(tmp_path):
    assert faults(tmp_path, "import mainspring as ms\n\nx = 1 / 0\n") == [
        "declared_here.py:3: ZeroDivisionError: division by zero"
    ]


def test_a_file_that_is_not_python_says_the_line(tmp_path):
    (found,) = faults(tmp_path, "import mainspring as ms\nx = = 1\n")
    assert found.startswith("declared_here.py:2: SyntaxError")


def test_a_misspelt_word_names_the_nearest_and_hides_no_other_fault(tmp_path):
    text = GOOD.replace("ms.count", "ms.cuont").replace("margin=0.01", "margn=0.01")
    assert faults(tmp_path, text) == [
        "ms.cuont: is not a word of mainspring; did you mean 'count'?",
        "Canary.margn: is not a known key; did you mean 'margin'?",
    ]


def test_a_misspelt_model_still_takes_its_trainer(tmp_path):
    assert faults(tmp_path, GOOD.replace("ms.Model", "ms.Modle")) == [
        "ms.Modle: is not a word of mainspring; did you mean 'Model'?"
    ]


def test_a_file_that_declares_nothing_is_a_fault(tmp_path):
    (found,) = faults(tmp_path, "x = 1\n")
    assert found.startswith("declared_here.py: declares nothing")


def test_local_modules_are_kept_by_their_digest_also_those_imported_inside_functions(tmp_path):
    (tmp_path / "shared_words.py").write_text("A = 1\n")
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from . import other\n")
    (package / "other.py").write_text("B = 2\n")
    (tmp_path / "unused.py").write_text("C = 3\n")
    text = GOOD + "\n    def later():\n        import shared_words\n        from own_package.inner import other\n"
    found = evaluated(tmp_path, text)
    assert set(found.revision.files) == {
        "declared_here.py",
        "own_package/__init__.py",
        "own_package/inner.py",
        "own_package/other.py",
        "shared_words.py",
    }
    kept = found.revision.files["shared_words.py"]
    assert kept == digest(b"A = 1\n")
    assert (tmp_path / "staging" / "files" / kept).read_bytes() == b"A = 1\n"


def test_a_module_outside_the_project_is_not_local(tmp_path):
    (tmp_path / "alone.py").write_text("import json, os.path\n")
    assert local_files(tmp_path, "alone.py") == [tmp_path / "alone.py"]


def test_the_same_file_gives_the_same_digest_and_a_changed_function_another(tmp_path):
    first = evaluated(tmp_path, GOOD).revision.digest()
    del sys.modules["declared_here"]
    assert evaluated(tmp_path, GOOD).revision.digest() == first
    del sys.modules["declared_here"]
    assert evaluated(tmp_path, GOOD.replace("...", "return 1")).revision.digest() != first


def test_a_lock_file_is_part_of_the_revision(tmp_path):
    (tmp_path / "requirements.txt").write_text("polars==2.1.0\n")
    assert evaluated(tmp_path, GOOD).revision.lock == digest(b"polars==2.1.0\n")


def test_personal_fields_need_a_subject_and_cannot_be_what_rows_are_told_apart_or_trained_by(tmp_path):
    found = faults(
        tmp_path,
        """
        import mainspring as ms

        trips = ms.Source(
            "trips", "data/trips.csv", time="start", known_at="end", key="trip", pii=["place", "trip", "email"]
        )
        view = ms.FeatureView("by_place", source=trips, key="zone", features=[ms.last("email")])
        slow = ms.Model(
            "slow", entity="trip", keys="zone", inputs=["price", "place"], predict_at="start", features=[view],
            outcome=ms.Outcome("minutes > 30", source=trips, matures_after="36h"), task="binary", keep="9 weeks",
            pii=["trip", "prise"],
        )

        @slow.rule
        def always(frame, params):
            return frame["price"]
        """,
    )
    said = "\\n".join(found)
    assert "Model('slow').keep = '9 weeks': is not a duration" in said
    for words in (
        "Source('trips').pii: needs a subject whose key seals it; say subject='column'",
        "Source('trips').pii = 'trip': tells rows apart, so it cannot be sealed",
        "FeatureView('by_place') = 'email': is sealed, so no feature can be made of it",
    ):
        assert words in said, said


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("subject='zone', pii=['prise']", "pii = 'prise': is not a column of the request; did you mean 'price'?"),
        ("subject='zone', pii=['trip']", "pii = 'trip': names rows, so it cannot be sealed"),
        ("pii=['price']", "pii: needs a subject whose key seals it; say subject='column'"),
        ("subject='zone', pii=['price']", ""),
    ],
)
def test_a_models_personal_fields_are_columns_of_its_request(tmp_path, declared, said):
    found = faults(
        tmp_path,
        f"""
        import mainspring as ms

        trips = ms.Source("trips", "data/trips.csv", time="start", known_at="end", key="trip")
        slow = ms.Model(
            "slow", entity="trip", keys="zone", inputs=["price"], predict_at="start", {declared},
            outcome=ms.Outcome("minutes > 30", source=trips, matures_after="36h"), task="binary",
        )

        @slow.rule
        def always(frame, params):
            return frame["price"]
        """,
    )
    assert len(found) == bool(said), found
    assert all(one.startswith(f"Model('slow').{said}") for one in found)


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ('ms.Canary(metric="brier", margin=1.0)', "anything would pass"),
        ('ms.Canary(approval="risk")', ": must be an approval or nothing"),
        ("ms.Canary(steps=3)", ": must be a list of shares"),
        ("ms.Canary(metrics=3)", ": must be a list of ms.metrics"),
        ("ms.Canary(margin=10**400)", ": must be a number above 0"),
        ('ms.Canary(deadline="1d")', ": ends before the shadow does"),
        ('ms.Shadow(slices=["\\ud800"])', ": must be text of one line"),
        ("ms.Bandit(confidence=1.0)", ": must be a number above 0.5 and below 1"),
        ("ms.Bandit(floor=float('nan'))", ": must be a number above 0 and below 0.5"),
        ("ms.ABTest(high=1e308)", ": must be a number above 0, of at most 1e+100 either way"),
        ('ms.BlueGreen(keep="1000000000000d")', ": is too long"),
        ('ms.Immediate(approval=ms.Approval(role="a\\nb"))', ": must be text of one line"),
        ("ms.ChampionChallenger(shadwo=3)", "shadwo"),
        ("ms.Approval()", "is not a policy of releases"),
        ("5", "is not a policy of releases"),
    ],
)
def test_a_policy_that_no_release_could_go_by_is_a_fault_of_the_project(tmp_path, release, said):
    declared = GOOD.replace('ms.Canary(shadow="14d", steps=[0.1, 0.5], metric="log_loss", margin=0.01)', release)
    found = faults(tmp_path, declared)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('checks=[ms.checks.metric("roc_auc", at_least=0.6)]', "checks=[ms.Health()]", "is not a check"),
        ('monitors=[ms.Quality("log_loss")]', "monitors=[ms.Canary()]", "is not a monitor"),
        ('retrain=ms.Retrain(every="30d", window="90d")', "retrain=ms.Health()", "is not a rule for retraining"),
        ('retrain=ms.Retrain(every="30d", window="90d")', "retrain='30d'", "is not a rule for retraining"),
    ],
)
def test_a_part_in_the_place_of_another_is_a_fault_of_the_project(tmp_path, old, new, said):
    found = faults(tmp_path, GOOD.replace(old, new))
    assert len(found) == 1, found
    assert said in found[0]
