"""The errors that charrnn raises on purpose.

Each carries one line for a person: what is wrong, where, and what to do next. Library code raises them;
only the command line and the app show them.
"""

OK, FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130  # exit codes


class CharRNNError(Exception):
    """Anything that charrnn can explain in one line."""


class UsageError(CharRNNError):
    """The call itself is wrong: options that exclude each other, a value out of range."""


class CorpusError(CharRNNError):
    """Text that cannot be read, is empty, or is too little to train on."""


class ModelError(CharRNNError):
    """A model folder that is missing, damaged, of another version, or not a model."""


class TrainingError(CharRNNError):
    """Training cannot start, go on or resume."""


class HistoryError(CharRNNError):
    """Conversations that cannot be read or saved."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what numpy raises where there is no room left, or torch, which has no kind of error for it."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))
