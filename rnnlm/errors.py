"""Errors for people: what was wrong, where, and what to do about it.

The command line prints these without a traceback and ends with exit code 1; the tasks never retry them, because
the same input would fail the same way.
"""


class RnnlmError(Exception):
    """What a person can fix: a wrong setting, broken data, a training that went astray.

    Args:
        problem: What was wrong, in one sentence.
        where: The file, line, row or field that it was found in, if there is one.
        remedy: What to do about it.
    """

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(problem, where, remedy)
        self.problem = problem
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        if not self.remedy:
            return text
        return f"{text}{'' if text.endswith(('.', '?', '!')) else '.'} {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and task runners pickle exceptions.
        return _rebuild, (type(self), self.problem, self.where, self.remedy)


def _rebuild(kind: type[RnnlmError], problem: str, where: str, remedy: str) -> RnnlmError:
    return kind(problem, where=where, remedy=remedy)


class ConfigError(RnnlmError):
    """An experiment that contradicts itself, or the data that it is to run on."""


class DataError(RnnlmError):
    """A file, a row or a document that cannot be used as it is."""


class TrainingError(RnnlmError):
    """A training that cannot go on, for example because its loss is no longer a number."""


class StoreError(RnnlmError):
    """A store (MLflow, a remote file system, the package index) that does not answer; it may later."""


class FullDiskError(StoreError):
    """A disk that is full: trying again does not help before a person has made room.

    Args:
        where: What could not be written.
    """

    def __init__(self, where: str) -> None:
        super().__init__(
            "the disk is full",
            where=where,
            remedy="Free some space there, or set RNNLM_HOME, and run the same command again: finished steps are kept.",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where,)
