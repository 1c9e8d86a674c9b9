"""What a request may say: options, durations, JSON, hosts and calls of tools."""

import math
from typing import Any

import pytest
from tierwise_embedded.errors import ApiError
from tierwise_embedded.gojson import CHAT_FIELDS, check_fields, decode
from tierwise_embedded.hosts import is_local_host
from tierwise_embedded.options import parse_keep_alive, parse_options, parse_think
from tierwise_embedded.prompt import openai_messages
from tierwise_embedded.tools import ToolCallParser


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_ctx": "abc"}, 'option "num_ctx" must be of type integer'),
        ({"seed": True}, 'option "seed" must be of type integer'),
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
        ({"stop": [1]}, 'option "stop" must be of an array of strings'),
        ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
    ],
)
def test_an_option_of_a_wrong_type_is_a_500(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError, match=text) as error:
        parse_options(options)
    assert error.value.status == 500


def test_unknown_and_null_options_are_ignored() -> None:
    assert parse_options({"nope": 1, "num_ctx": None}) == parse_options(None)


def test_a_context_length_is_clamped_to_the_trained_one() -> None:
    assert parse_options({"num_ctx": 100_000}).num_ctx(8192) == 8192
    assert parse_options({"num_ctx": -1}).num_ctx(8192) == 4
    assert parse_options(None).num_ctx(8192) == 4096


def test_an_unlimited_answer_is_bounded() -> None:
    assert parse_options({"num_predict": -1}).num_predict(256) == 2560
    assert parse_options({"num_predict": 7}).num_predict(256) == 7


def test_own_options_do_not_reach_the_engine() -> None:
    sampling = parse_options({"num_keep": 9, "num_ctx": 256, "num_predict": 3}).sampling()
    assert sampling["n_keep"] == 9
    assert not {"num_ctx", "num_predict", "num_keep"} & set(sampling)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0),
        ("0", 0),
        (90, 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        (-1, math.inf),
        ("-1m", math.inf),
    ],
)
def test_keep_alive(value: object, seconds: float | None) -> None:
    assert parse_keep_alive(value) == seconds


@pytest.mark.parametrize("value", ["abc", "5", "5x", "", True, {}])
def test_a_bad_keep_alive_is_a_400(value: object) -> None:
    with pytest.raises(ApiError) as error:
        parse_keep_alive(value)
    assert error.value.status == 400


@pytest.mark.parametrize(("value", "wanted"), [(None, False), (False, False), (True, True), ("low", True)])
def test_think(value: object, wanted: bool) -> None:
    assert parse_think(value) is wanted


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "missing request body"),
        (b"{nope", "invalid character 'n' looking for beginning of object key string"),
        (b"nope", "invalid character 'n' looking for beginning of value"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        (b'{"a": 1', "unexpected EOF"),
        (b'{"a": "x', "unexpected EOF"),
        (b"[]", "json: cannot unmarshal array into Go value of type api.Request"),
    ],
)
def test_a_malformed_body_is_refused_in_gos_words(body: bytes, text: str) -> None:
    with pytest.raises(ApiError) as error:
        decode(body)
    assert (error.value.status, error.value.message) == (400, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"messages": "x"}, "string into Go struct field ChatRequest.messages of type []api.Message"),
        ({"messages": ["x"]}, "string into Go struct field ChatRequest.messages of type api.Message"),
        ({"messages": [{"content": 5}]}, "number into Go struct field ChatRequest.messages.content of type string"),
        ({"stream": 1}, "number into Go struct field ChatRequest.stream of type bool"),
        ({"options": []}, "array into Go struct field ChatRequest.options of type map[string]interface {}"),
    ],
)
def test_a_field_of_a_wrong_type_is_refused_in_gos_words(body: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError) as error:
        check_fields(body, "ChatRequest", CHAT_FIELDS)
    assert error.value.message == f"json: cannot unmarshal {text}"


@pytest.mark.parametrize(
    "host", [None, "", "localhost", "localhost:11434", "127.0.0.1:1", "[::1]:80", "192.168.1.4", "0.0.0.0", "box.local"]
)
def test_names_of_this_machine_are_local(host: str | None) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize("host", ["tierwise.example", "8.8.8.8", "localhost.tierwise.example", "[bad"])
def test_other_names_are_not(host: str) -> None:
    assert not is_local_host(host)


def feed(*pieces: str) -> tuple[str, list[Any]]:
    parser = ToolCallParser()
    results = [*(parser.feed(piece) for piece in pieces), parser.finish()]
    calls = [call["function"] for _, found in results for call in found]
    return "".join(content for content, _ in results), calls


CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
FUNCTION = {"index": 0, "name": "f", "arguments": {"a": 1}}


def test_a_call_is_taken_out_of_the_text() -> None:
    assert feed(f"Well. {CALL}") == ("Well. ", [FUNCTION])


def test_a_call_is_found_however_it_is_cut() -> None:
    assert feed(*CALL) == ("", [FUNCTION])


def test_several_calls_are_numbered() -> None:
    _, calls = feed(f"{CALL}\n{CALL}")
    assert [call["index"] for call in calls] == [0, 1]


def test_a_call_without_its_closing_tag_counts_at_the_end() -> None:
    assert feed(CALL.removesuffix("</tool_call>")) == ("", [FUNCTION])


@pytest.mark.parametrize(
    "text", ["a < b <tool", "<tool_call>nonsense</tool_call>", "<tool_call>{", '```json\n{"name": "f"}\n```']
)
def test_what_is_no_call_stays_in_the_text(text: str) -> None:
    assert feed(*text) == (text, [])


def test_messages_are_put_into_openais_shape() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    (message,) = openai_messages([{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert message["content"] == ""
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
