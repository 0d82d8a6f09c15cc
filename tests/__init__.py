"""A package, so that the import hook finds `tests.typechecker` by its name."""

from tests import typechecker as typechecker
