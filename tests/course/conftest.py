"""Grading forks this process, and a fork of one in which JAX's threads run is not to be trusted.

So these tests need a process that has not used it: `make test` gives them one, and `pytest tests/course`.
"""

import sys

import pytest

FORKING = ("test_grading", "test_isolated", "test_real_masters")


@pytest.hookimpl(tryfirst=True)  # before the fixtures, some of which take long
def pytest_runtest_setup(item: pytest.Item) -> None:
    bridge = sys.modules.get("jax._src.xla_bridge")
    if item.path.stem in FORKING and bridge is not None and bridge.backends_are_initialized():
        pytest.skip("JAX has been used, and this test forks; run: pytest tests/course")
