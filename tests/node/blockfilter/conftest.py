"""The API's desks, for filters of real chains."""

from tests.node.api.conftest import make_desk

__all__ = ["make_desk"]
