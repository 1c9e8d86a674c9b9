"""Errors of clients, told by the status they carry or by the names of their classes."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import errors
from tierwise.backends import failure_of, provider_failures
from tierwise.backends.failures import retry_after


class ClientError(Exception):
    def __init__(self, message: str, status: int, **headers: str) -> None:
        super().__init__(message)
        self.status_code = status
        self.response: Any = type("Response", (), {"headers": {k.replace("_", "-"): v for k, v in headers.items()}})()


class APIConnectionError(Exception):
    pass


class APITimeoutError(APIConnectionError):
    pass


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (404, errors.ModelNotFoundError),
        (429, errors.RateLimitError),
        (500, errors.UnavailableError),
        (503, errors.ServerBusyError),
    ],
)
def test_a_status_says_what_failed(status: int, kind: type[errors.BackendError]) -> None:
    failure = failure_of(ClientError("no", status))
    assert failure is not None
    assert type(failure) is kind
    assert failure.status == status


@pytest.mark.parametrize(
    "text",
    [
        "code: context_length_exceeded",
        "This model's maximum context length is 8192 tokens",
        "prompt is too long: 210000 tokens > 200000 maximum",
        '{"type": "exceed_context_size_error"}',
    ],
)
def test_an_overflow_is_told_from_another_bad_request(text: str) -> None:
    assert type(failure_of(ClientError(text, 400))) is errors.ContextOverflowError


@pytest.mark.parametrize(("headers", "seconds"), [({"retry_after": "7"}, 7.0), ({"retry_after_ms": "250"}, 0.25)])
def test_the_provider_says_when_to_try_again(headers: dict[str, str], seconds: float) -> None:
    failure = failure_of(ClientError("slow down", 429, **headers))
    assert failure is not None
    assert failure.retry_after == seconds


def test_a_timeout_is_told_from_other_connection_errors() -> None:
    assert type(failure_of(APITimeoutError())) is errors.CallTimeoutError
    assert type(failure_of(APIConnectionError())) is errors.UnavailableError
    assert type(failure_of(ConnectionRefusedError())) is errors.UnavailableError


def test_a_server_that_is_not_there_is_told_from_one_that_broke_off() -> None:
    class ConnectError(Exception):
        pass

    absent = APIConnectionError()
    absent.__cause__ = ConnectError()
    broken = APIConnectionError()
    broken.__cause__ = ConnectionResetError()
    broken.__cause__.__context__ = broken
    reached = [getattr(failure_of(error), "reached", None) for error in (absent, ConnectionRefusedError(), broken)]
    assert reached == [False, False, True]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ModelTimeoutError", errors.CallTimeoutError),
        ("ModelRequestTimeout", errors.CallTimeoutError),
        ("ModelConnectionError", errors.UnavailableError),
        ("ModelAPIError", errors.BadResponseError),
        ("LengthFinishReasonError", errors.BadResponseError),
    ],
)
def test_a_framework_s_own_names_for_them_are_known(name: str, kind: type[errors.BackendError]) -> None:
    error = type(name, (type("ModelAPIError", (RuntimeError,), {}),), {})
    assert type(failure_of(error("no answer"))) is kind


def test_what_is_no_provider_s_error_propagates() -> None:
    assert failure_of(TypeError("a defect")) is None
    with pytest.raises(TypeError, match="a defect"), provider_failures():
        raise TypeError("a defect")


def test_a_caller_may_name_further_errors() -> None:
    with pytest.raises(errors.BadResponseError, match="no data") as caught, provider_failures(ValueError):
        raise ValueError("no data")
    assert isinstance(caught.value.__cause__, ValueError)


def test_our_own_failures_stay_as_they_are() -> None:
    with pytest.raises(errors.RateLimitError) as caught, provider_failures():
        raise errors.RateLimitError("full", status=429)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "1e999", "retry-after": "9"}, 9.0),
        ({}, None),
        (None, None),
    ],
)
def test_when_to_try_again(headers: Any, seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_to_come_is_seconds_from_now() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert retry_after({"retry-after": later}) == pytest.approx(3600, abs=60)


dates = st.sampled_from(
    ["0 JAN 3000000000 0:0 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2300"]
)
figures = st.sampled_from(["inf", "-inf", "nan", "1e999", "-1", "1_0"])


@given(st.text(max_size=40) | dates | figures)
def test_no_header_breaks_the_reading_of_it(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after({name: value})
        assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
