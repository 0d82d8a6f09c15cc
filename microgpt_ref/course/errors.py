"""What nbgrader logs and does not raise."""

import logging


class LastError(logging.Handler):
    """Keeps the last line of the last error that nbgrader logged with a traceback."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        lines = record.getMessage().strip().splitlines()
        if lines and lines[0].startswith("Traceback"):
            self.said = lines[-1]
