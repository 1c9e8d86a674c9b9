from __future__ import annotations

from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from pydantic import BaseModel
from tierwise.errors import ConfigError
from tierwise.schema import as_json_schema, parse_output, schema_errors, unfence


@pytest.fixture
def fetched() -> Generator[tuple[str, list[str]]]:
    """A server with a schema, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "integer"}')

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x.json", asked
        server.shutdown()
        thread.join()


def test_a_reference_is_never_fetched(fetched: tuple[str, list[str]]) -> None:
    address, asked = fetched
    with pytest.raises(ConfigError, match=f"reference '{address}' is not within it"):
        schema_errors({"properties": {"a": {"$ref": address}}}, {"a": 1})
    assert asked == []


def test_references_within_the_schema_are_followed() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    assert schema_errors(schema, {"a": 1}) == ""
    assert schema_errors(schema, {"a": "1"}) == "a: '1' is not of type 'integer'"


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="no valid JSON schema"):
        schema_errors({"type": "thing"}, 1)


class Point(BaseModel):
    x: int


@pytest.mark.parametrize("schema", [Point, {"type": "object", "required": ["x"]}])
@pytest.mark.parametrize("text", ["no", "", "{}", '{"x": 1'])
def test_what_does_not_fit_is_a_value_error(schema: Any, text: str) -> None:
    with pytest.raises(ValueError):
        parse_output(schema, text)


def test_a_type_is_parsed_as_such() -> None:
    assert parse_output(Point, '```json\n{"x": 1}\n```') == Point(x=1)
    assert parse_output(list[int], "[1, 2]") == [1, 2]
    assert as_json_schema(Point)["required"] == ["x"]


@pytest.mark.parametrize(
    ("text", "bare"),
    [("```\na\n```", "a"), ("``` a ```", "``` a ```"), (" a ", "a"), ("x ```\na\n```", "x ```\na\n```")],
)
def test_only_a_fence_around_everything_is_taken_off(text: str, bare: str) -> None:
    assert unfence(text) == bare


@pytest.mark.parametrize("schema", [3, [], object()])
def test_what_is_no_schema_is_refused(schema: object) -> None:
    with pytest.raises(ConfigError, match=r"output_schema=.* must be a JSON schema, a pydantic model"):
        as_json_schema(schema)
