"""The command line of the kit: what does not need a whole class to be graded."""

import contextlib
import os
import signal
import threading
import time

import pytest

from microgpt_ref.course import cli


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread"
)
def test_a_swallowed_ctrl_c_is_heard_before_the_next_submission() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with cli._heard() as stop_if_asked:
            stop_if_asked()
            with contextlib.suppress(KeyboardInterrupt):  # as Python does in a destructor
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)
            with pytest.raises(KeyboardInterrupt):
                stop_if_asked()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
