"""Applying a project: the whole is checked, the difference shown, and what is stored never changes."""

import pytest
from sqlalchemy import select

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.routing import RoutingFile
from mainspring.features.tables import sources, views
from mainspring.kernel.errors import Conflict, InvalidProject, NotFound, Refused, WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.ledger import queries
from mainspring.loop.publish import Publisher
from mainspring.project.template import write_template
from mainspring.registry.environment import capture
from mainspring.registry.tables import models
from mainspring.registry.version import Lineage, Version
from mainspring.release.approvers import Approvers
from mainspring.release.policy import Canary, decode_policy


def edit(folder, old, new):
    path = folder / "project.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def entries(place):
    with place.store.read() as connection:
        return queries.entries(connection)


def names(place, table):
    with place.store.read() as connection:
        return sorted(connection.scalars(select(table.c.name)))


def faults(place, folder):
    with pytest.raises(InvalidProject) as caught:
        place.projects.apply(folder, by="ada")
    return [fault.sentence() for fault in caught.value.faults]


def test_applying_stores_sources_views_and_models_and_says_so_in_the_ledger(place, trips):
    applied = place.projects.apply(trips, by="ada")
    assert (applied.project, applied.changed) == ("trips", True)
    assert [change.sentence() for change in applied.difference] == [
        "+ source trips",
        "+ view by_place",
        "+ model slow",
        "+ file project.py",
    ]
    assert (names(place, sources), names(place, views), names(place, models)) == (["trips"], ["by_place"], ["slow"])
    (entry,) = entries(place)
    assert (entry.kind, entry.actor) == ("project.applied", "ada")
    assert entry.numbers["revision"] == applied.revision
    model = place.registry.model("trips", "slow")
    assert [(column.name, column.kind) for column in model.spec.columns] == [
        ("trip", "str"),
        ("place", "str"),
        ("price", "float"),
    ]


def test_the_same_project_again_changes_nothing(place, trips):
    first = place.projects.apply(trips, by="ada")
    again = place.projects.apply(trips, by="bob")
    assert (again.changed, again.difference, again.revision) == (False, (), first.revision)
    assert len(entries(place)) == 1


def test_a_dry_run_shows_the_difference_and_changes_nothing(place, trips):
    place.projects.apply(trips, by="ada")
    edit(trips, "margin=0.05", "margin=0.06")
    shown = place.projects.apply(trips, by="ada", dry_run=True)
    assert [change.sentence() for change in shown.difference if "file" not in change.subject] == [
        "~ model slow: release.margin: 0.05 → 0.06"
    ]
    assert len(entries(place)) == 1
    assert len(place.projects.revisions("trips")) == 1


def test_a_revision_is_kept_with_its_code(place, trips):
    applied = place.projects.apply(trips, by="ada")
    kept = place.projects.revision(applied.revision)
    assert kept.digest() == applied.revision
    assert place.blobs.get(kept.files["project.py"]) == (trips / "project.py").read_bytes()
    assert place.projects.root_of("trips") == str(trips)


def test_expected_days_to_a_decision_are_told_before_anything_was_predicted(place, trips):
    (expected,) = place.projects.apply(trips, by="ada").expected
    assert expected.model == "slow"
    assert expected.days is not None
    assert 5 < expected.days < 10  # some 712 labelled units at 200 a day, a day and a half of waiting, a day of canary


def test_a_policy_that_cannot_decide_by_its_deadline_is_refused(place, trips):
    edit(trips, "margin=0.05", "margin=0.005")
    (found,) = faults(place, trips)
    assert found.startswith("Model('slow').release: cannot decide by its deadline")
    assert found.endswith("give it more time, or a wider margin")
    assert entries(place) == []


def test_faults_of_the_code_and_of_the_data_show_together(place, trips):
    edit(trips, 'inputs=["price"]', 'inputs=["prize", "minutes"]')
    edit(trips, 'time="start"', 'time="strat"')
    edit(trips, 'task="binary"', 'task="binry"')
    found = faults(place, trips)
    assert "Model('slow').task = 'binry': is not one of the known words; did you mean 'binary'?" in found
    assert "Source('trips').time: is not a column (got 'strat'); did you mean 'start'?" in found


def test_columns_that_the_source_does_not_have_are_told_with_the_nearest(place, trips):
    edit(trips, 'inputs=["price"]', 'inputs=["prize", "minutes"]')
    edit(
        trips, 'ms.share("minutes > 30", over="3h")', 'ms.share("minuts > 30", over="3h"), ms.mean("place", over="1d")'
    )
    assert faults(place, trips) == [
        "FeatureView('by_place').share_minuts_gt_30_3h: is not a column of the source trips (got 'minuts'); "
        "did you mean 'minutes'?",
        "FeatureView('by_place').mean_place_1d: a column of kind str has no mean (got 'place')",
        "Model('slow').inputs: is not a column of the source trips (got 'prize'); did you mean 'price'?",
        "Model('slow').inputs: is what the outcome is made of, so nobody knows it when the model is asked "
        "(got 'minutes'); take it out of inputs",
    ]


def test_an_outcome_that_is_no_condition_cannot_be_a_binary_one(place, trips):
    edit(trips, 'ms.Outcome("minutes > 30"', 'ms.Outcome("minutes + 30"')
    assert faults(place, trips) == [
        "Model('slow').outcome: is not a condition (got 'minutes + 30'); "
        "compare with something, such as 'arr_delay > 15'"
    ]


def test_a_regression_judged_by_a_metric_of_probabilities_is_a_fault(place, trips):
    edit(trips, 'task="binary"', 'task="regression"')
    edit(trips, 'ms.Outcome("minutes > 30"', 'ms.Outcome("minutes"')
    assert faults(place, trips) == [
        "Model('slow').release.metric: judges probabilities, not numbers (got 'log_loss'); "
        "use absolute_error or squared_error"
    ]


def test_a_missing_file_is_a_fault_and_not_a_crash(place, trips):
    (trips / "data" / "trips.csv").unlink()
    (found,) = faults(place, trips)
    assert "trips" in found


def test_a_view_that_changed_is_a_new_view_and_the_old_one_goes_when_no_version_needs_it(place, trips):
    place.projects.apply(trips, by="ada")
    (old,) = place.features.fed()
    assert place.latest.position(old) == "0"
    edit(trips, 'over="3h"', 'over="6h"')
    place.projects.apply(trips, by="ada")
    assert place.latest.position(old) == ""  # what was kept of it online is gone too
    with place.store.read() as connection:
        specs = list(connection.scalars(select(views.c.spec)))
    assert len(specs) == 1
    assert "21600000000" in specs[0]


def registered(place, view):
    """Register a version that looks features up in a view."""
    model = place.registry.model("trips", "slow")
    version = Version(
        id="", model=model.id, number=0, runtime="onnx", files={"model.onnx": place.blobs.put(view.encode())},
        signature=Signature("binary", (Column("price", "float"),)), environment=capture([]),
        lineage=Lineage(recipe="rule"), views=(view,),
    )  # fmt: skip
    with place.store.begin("ada") as tx:
        return place.registry.register(tx, version)


def test_a_version_whose_features_changed_is_released_beside_the_old_ones_and_can_be_gone_back_from(
    place, trips, tmp_path
):
    place.projects.apply(trips, by="ada")
    (old,) = place.features.fed()
    first = registered(place, old)
    place.releases.first_champion(first.model, first.id, by="ada", reason="the first")
    edit(trips, 'over="3h"', 'over="6h"')
    place.projects.apply(trips, by="ada")
    (new,) = place.features.fed() - {old}
    assert place.latest.position(new) == place.latest.position(old) == "0"  # fed before anything can ask for it
    second = registered(place, new)
    publisher = Publisher(
        store=place.store, registry=place.registry, releases=place.releases, features=place.features,
        routing=RoutingFile(tmp_path / "routing", LocalDisk()), clock=place.clock,
    )  # fmt: skip
    release = place.releases.start(first.model, second.id, by="ada", reason="longer windows")
    assert {view.digest for view in publisher.desired().views} == {old, new}
    place.releases.promote(release.id, by="ada", reason="we must")
    assert {view.digest for view in publisher.desired().views} == {new}
    edit(trips, "margin=0.05", "margin=0.06")
    place.projects.apply(trips, by="ada")
    assert place.features.fed() == {old, new}  # the version before may be gone back to
    place.releases.roll_back(release.id, by="ada", reason="worse")
    assert {view.digest for view in publisher.desired().views} == {old}


def test_a_source_that_is_declared_no_more_is_let_go(place, trips):
    edit(
        trips,
        "by_place =",
        'other = ms.Source("other", "data/trips.csv", time="start", known_after="0s", key="trip")\nby_place =',
    )
    place.projects.apply(trips, by="ada")
    assert names(place, sources) == ["other", "trips"]
    edit(trips, 'other = ms.Source("other", "data/trips.csv", time="start", known_after="0s", key="trip")\n', "")
    place.projects.apply(trips, by="ada")
    assert names(place, sources) == ["trips"]


def test_what_was_read_of_a_source_stays_read(place, trips):
    place.projects.apply(trips, by="ada")
    project = place.registry.project("trips")
    read = place.features.ingest(project, place.clock.now_us())
    assert [frame.height for frame in read.values()] == [2_000]
    edit(trips, "margin=0.05", "margin=0.06")
    place.projects.apply(trips, by="ada")
    assert place.features.ingest(project, place.clock.now_us()) == {}


def test_a_file_that_never_ends_is_stopped(place, trips):
    (trips / "project.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(WorkerFailed, match="did not end within 2 s"):
        place.projects.apply(trips, by="ada", timeout_s=2.0)


def test_a_folder_without_a_declaring_file_is_not_a_project(place, tmp_path):
    with pytest.raises(NotFound, match="mainspring init"):
        place.projects.apply(tmp_path, by="ada")


def test_init_refuses_a_folder_with_other_things_in_it(trips):
    with pytest.raises(Conflict):
        write_template(trips, "trips", "binary")


def test_a_policy_set_by_hand_stands_until_the_project_declares_another_one(place, trips):
    place.projects.apply(trips, by="ada")
    model = place.registry.model("trips", "slow")
    slower = Canary(shadow="14d", steps=[0.1, 0.5], metric="log_loss", margin=0.05)
    place.releases.set_policy(model.id, slower, by="ben", reason="the week of the fair")
    edit(trips, "0.2 + 0", "0.3 + 0")
    assert place.projects.apply(trips, by="ada").changed
    assert decode_policy(place.registry.model("trips", "slow").release) == slower
    edit(trips, "margin=0.05", "margin=0.04")
    place.projects.apply(trips, by="ada")
    assert decode_policy(place.registry.model("trips", "slow").release).margin == 0.04


def test_a_project_takes_an_approval_away_only_for_somebody_who_could_give_it(place, trips):
    edit(trips, "margin=0.05)", 'margin=0.05, approval=ms.Approval(role="risk"))')
    place.projects.apply(trips, by="ada (user)")
    place.releases.approvers = Approvers({"risk": ["ben"]}, lambda id: None)
    edit(trips, ', approval=ms.Approval(role="risk")', "")
    for by in ("ada (user)", "ben, said by ada (user)", "ben"):
        with pytest.raises(Refused, match="asks for approval by somebody with the role risk"):
            place.projects.apply(trips, by=by)
    assert decode_policy(place.registry.model("trips", "slow").release).approval is not None
    assert place.projects.apply(trips, by="ben (user)").changed
    assert decode_policy(place.registry.model("trips", "slow").release).approval is None
