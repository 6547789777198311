"""The description of the interface is one of OpenAPI 3.1, and the answers are as it says."""

from __future__ import annotations

from collections.abc import Callable

import jsonschema
import pytest
from openapi_spec_validator import validate
from serving_client import DRAWING, IMAGES, Answer, Client


def test_the_description_is_one_of_openapi(client: Client) -> None:
    description = client("/openapi.json").json
    assert description["openapi"] == "3.1.0"
    validate(description)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ("Health", lambda ask: ask("/health")),
        ("Answer", lambda ask: ask.predict(IMAGES[0].tolist())),
        ("Answer", lambda ask: ask.predict(DRAWING, "image/png", "?layers=1")),
        ("Problem", lambda ask: ask.predict([])),
        ("Problem", lambda ask: ask("/no")),
    ],
)
def test_answers_are_as_described(
    client: Client, schema: str, answer: Callable[[Client], Answer]
) -> None:
    components = client("/openapi.json").json["components"]
    described = {"$ref": f"#/components/schemas/{schema}", "components": components}
    jsonschema.Draft202012Validator(described).validate(answer(client).json)
