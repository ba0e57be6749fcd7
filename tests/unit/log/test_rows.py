import msgspec

from mainspring.kernel.values import Ranking
from mainspring.log.records import Assignment, Outcomes, Request, Scored, ScoredRows
from mainspring.log.rows import rows_of


def test_each_object_of_a_list_keeps_its_exact_bytes():
    body = b'[{"a": 1.0},\n {"a":2 , "b":"\xc3\xa9"}]'
    request = Request("p1", "prj", "mod", 5, 6, body, ("e1", "e2"), ("u1", "u2"))
    rows = rows_of([request]).frames["requests"]
    assert rows["body"].to_list() == ['{"a": 1.0}', '{"a":2 , "b":"é"}']
    assert rows["row"].to_list() == [0, 1]
    assert rows["subject"].to_list() == ["", ""]


def test_a_single_object_is_one_row():
    rows = rows_of([Request("p1", "prj", "mod", 5, 6, b' {"a":[1]}', ("e1",), ("u1",))]).frames["requests"]
    assert rows["body"].to_list() == [' {"a":[1]}']


def test_a_list_of_one_object_is_one_row():
    rows = rows_of([Request("p1", "prj", "mod", 5, 6, b'[{"a":1}]', ("e1",), ("u1",))]).frames["requests"]
    assert rows["body"].to_list() == ['{"a":1}']


def test_scored_rows_without_an_answer_have_a_missing_output():
    failed = Scored("p1", "mod", "ver", "shadow", "failed", 1, (0, 1), (), b"", 9, 5, "raised")
    rows = rows_of([failed]).frames["scored"]
    assert rows["output"].to_list() == [None, None]
    assert rows["features"].to_list() == ["", ""]
    assert rows["reason"].to_list() == ["raised", "raised"]


def test_features_and_typed_outputs_are_split_by_row():
    typed = msgspec.msgpack.encode([Ranking(("a",), (0.2,)), Ranking(("b",), (0.5,))])
    scored = Scored(
        "p1", "mod", "ver", "served", "ok", 1, (3, 5), (None, None), b'[{"v":[[1],2,"d"]},{}]', 9, 5, typed=typed
    )
    rows = rows_of([scored]).frames["scored"]
    assert rows["row"].to_list() == [3, 5]
    assert rows["features"].to_list() == ['{"v":[[1],2,"d"]}', "{}"]
    assert msgspec.msgpack.decode(rows["typed"][1], type=Ranking) == Ranking(("b",), (0.5,))


def test_rows_that_share_features_have_an_object_of_their_own_each():
    features = b'{"sky":[[[1.5],7,"d1"]],"busy":[[[2],8,"d2"],[[null],null,"d2"]]}'
    record = ScoredRows(
        "p1", "mod", "ver", "served", "ok", 1, (0, 1), (0.5, 0.25), features, 9, 5, seen=((0, 0), (1, 0))
    )
    assert rows_of([record]).frames["scored"]["features"].to_list() == [
        '{"sky":[[1.5],7,"d1"],"busy":[[null],null,"d2"]}',
        '{"sky":[[1.5],7,"d1"],"busy":[[2],8,"d2"]}',
    ]
    beyond = msgspec.structs.replace(record, seen=((0, 0), (1, 2)))
    assert rows_of([beyond]).refused == (beyond,)


def test_what_a_bandit_could_have_done_is_kept():
    drawn = Assignment("p1", "mod", 1, "rel", 1, "s", (0,), (0.1,), ("b",), (0.75,), 5, ("a", "b"), (0.25, 0.75))
    assert rows_of([drawn]).frames["assignments"]["actions"].to_list() == ['{"a":0.25,"b":0.75}']


def test_a_record_that_contradicts_itself_is_refused_alone():
    good = Outcomes("prj", "mod", ("e1",), (1.0,), (5,), (6,))
    bad = Outcomes("prj", "mod", ("e1", "e2"), (1.0,), (5,), (6,))
    rows = rows_of([good, bad, good])
    assert rows.refused == (bad,)
    assert rows.frames["outcomes"].height == 2
