"""Every point where a command can be made to die exists: a stale name would disarm the kill silently."""

from __future__ import annotations

import importlib

import pytest

from tests.chaos.dying.sitecustomize import POINTS


@pytest.mark.parametrize("point", POINTS)
def test_kill_point_names_a_method_that_exists(point: str) -> None:
    module, class_name, method = POINTS[point]
    owner = getattr(importlib.import_module(module), class_name)
    assert callable(getattr(owner, method))
