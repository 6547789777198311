"""Ctrl-C and SIGTERM end a command with exit code 130, from its first moment to its last.

Importing this module is that first moment. Until `before_imports` is restored, either signal ends
the process at once, without the traceback of an import; there is nothing to save yet. A server
catches the interruption, which is its usual end, and the command ends with 0.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any, NoReturn


def handle(handler: Any, *numbers: signal.Signals) -> dict[signal.Signals, Any]:
    """Set the handler of signals, in the main thread only; returns the old handlers."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}


def restore(before: Mapping[signal.Signals, Any]) -> None:
    """Put back what `handle` returned."""
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(130)


before_imports = handle(_leave, signal.SIGINT, signal.SIGTERM)
