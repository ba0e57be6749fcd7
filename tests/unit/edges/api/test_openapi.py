from mainspring.edges.api.openapi import describe
from mainspring.edges.verbs import VERBS


def test_every_verb_is_described_under_its_path_and_method() -> None:
    paths = describe(VERBS)["paths"]
    assert set(paths) == {verb.path for verb in VERBS}
    assert list(paths["/api/release/abort"]) == ["post"]
    assert list(paths["/api/release/show"]) == ["get"]


def test_a_read_takes_its_arguments_from_the_query() -> None:
    operation = describe(VERBS)["paths"]["/api/champion"]["get"]
    assert [(one["name"], one["required"]) for one in operation["parameters"]] == [("model", True), ("at", False)]
    assert operation["x-permission"] == "read"


def test_a_change_takes_a_body_with_a_required_reason() -> None:
    document = describe(VERBS)
    body = document["paths"]["/api/release/hold"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Command"}
    assert document["components"]["schemas"]["Command"]["required"] == ["reason", "release"]
