"""Who shows answers: `stationary` says so when it is opened, and answers need not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

renderer: Callable[[type, str], Any]  # of the class of an answer, in a form
