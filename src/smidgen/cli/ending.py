"""Who may ask a program to end, and the end itself."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

__all__ = ["ENDING", "leave", "listen"]

# Ctrl-C, the system's word, and the end of the terminal or of the connection to it.
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def listen() -> None:
    """Hear whoever ends programs as Ctrl-C is heard, but for what the caller wants ignored, as `nohup` does.

    Only the main thread can ask for that, and hear it.
    """
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


def leave(code: int) -> NoReturn:
    """End the program, also where a thread is in the middle of a step that nobody waits for any more.

    What is on the disk is whole at any moment.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    if code == 130 and any(not thread.daemon for thread in others):
        os._exit(code)
    sys.exit(code)
