"""A real sandbox."""

import os

import pytest
from tierwise_examples.coding.sandbox import Limits, Sandbox, SandboxError, open_sandbox


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Bubblewrap. Without it a test is skipped; in CI (the variable `CI` is set) it fails: nobody reads skips there."""
    try:
        return open_sandbox(limits=Limits(seconds=20))
    except SandboxError as error:
        if os.environ.get("CI", "") not in ("", "0", "false"):
            pytest.fail(str(error))
        pytest.skip(str(error))
