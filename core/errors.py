"""Exceptions that are sentences: they name the culprit and the remedy."""

_WORKER_PREFIX = "Original Traceback"


class InputError(ValueError):
    """Something the user gave is wrong. The tools print the sentence alone and exit with code 1.

    A DataLoader re-raises a worker's error with the worker's traceback as its message; only our
    sentence, the last line of it, is kept.
    """

    def __init__(self, message: str) -> None:
        if _WORKER_PREFIX in message:
            message = message.strip().rpartition(f"{type(self).__name__}: ")[2]
        super().__init__(message)


class StoppedError(Exception):
    """Somebody stopped a training. The tools print the sentence, if any, and exit with ``code``."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class StopSignal(BaseException):
    """SIGTERM or Ctrl-C. No :class:`Exception`: what a library tries again must not swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number

    @property
    def code(self) -> int:
        """The exit code, as a shell has it."""
        return 128 + self.number
