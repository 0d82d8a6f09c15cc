"""Grading forks this process, and a fork of one in which JAX's threads run is not to be trusted.

So these tests need a process without it: `make test` gives them one, and so does `pytest tests/course`.
"""

import sys

import pytest

FORKING = ("test_grading", "test_isolated", "test_real_masters")


@pytest.hookimpl(tryfirst=True)  # before the fixtures, some of which take long
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.path.stem in FORKING and "jax" in sys.modules:
        pytest.skip("JAX is loaded, and this test forks; run: pytest tests/course")
