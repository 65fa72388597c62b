"""The registered model: text in; scores, classes, numbers, tags, completions, better orders or corrected text out.

MLflow runs this file as the model's code, with a copy of this package beside it. So a caller needs nothing of ours:

    model = mlflow.pyfunc.load_model("models:/demo-source@champion")
    model.predict(["A text.", "Another one."])
    model.predict(["The film was"], params={"task": "complete", "n": 3})

Every text gets one row, in the order in which the texts came. What a row holds is a matter of the task:

- `score`, of a language model, which has it as its default: `nll` (negative log-likelihood in nats of the whole text,
  its end token included), `tokens` (how many were predicted), `perplexity` and `bits_per_character`. Of an empty text
  the end token alone is scored; bits per character of no characters are null.
- `classify`, of a classifier, which has no other: `label`, the most probable class, and `probabilities` by class,
  calibrated with the temperature that validation chose. Of a text longer than the classifier's `max_tokens`
  the end is read, as in training.
- `predict`, of a model that predicts numbers: `value`.
- `tag`, of a model that tags words: the cleaned `text`, its `words`, their `tags` and `probabilities`, and the
  `entities` that they mark, each with `type`, `text`, and its `start` and `end` in the text.
- `complete`: `completions`, a list of `text` (prefix and completion), `completion`, `log_probability`, `tokens` and
  `ended`.
- `rescore`: the texts are one n-best list; `text`, `score`, `log_probability`, `total` and `rank`.
- `correct`: `text`, corrected, and `words`, those that were looked at with their `candidates`.

`rnnlm.inference.settings` has the parameters. A wrong value is an error that names the parameter and what is accepted;
a name that no task knows never comes here, because MLflow leaves it out, with a warning.

MLflow's server answers requests within limits (`rnnlm.inference.limits`): one that is too large gets the status 413,
and one that waits too long for others gets 503.

A text is read by itself, from a zero state, whatever is beside it in the batch, and cleaned as
`rnnlm.inference.texts` says.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from mlflow.pyfunc import PythonModel, PythonModelContext

from rnnlm.errors import ConfigError, RnnlmError

SERVED = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow's server sets it; a program that loads the model does not


class Refused(MlflowException):
    """What MLflow's server answers in place of rows.

    Args:
        error: What was wrong.
        status: The HTTP status of the answer.
        code: MLflow's name for such an error.
    """

    def __init__(self, error: RnnlmError, status: int, code: int) -> None:
        self._text, self._status = str(error), status
        super().__init__(self._text, code)

    @property
    def message(self) -> str:
        """What the answer says."""
        return self._text

    @message.setter
    def message(self, text: str) -> None:
        # MLflow's server would put the whole request before it.
        pass

    def get_http_status_code(self) -> int:
        """Return the HTTP status of the answer. MLflow's own table has none for what is too large."""
        return self._status


class TextModel(PythonModel):
    """A model that takes text; the checkpoint says which it is."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the checkpoint and build its model.

        Raises:
            DataError: If the checkpoint's folder is not whole.
            ConfigError: If a limit has a wrong value.
        """
        # A file in the caller's home folder may name another backend, and TensorFlow comes with the first import.
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        from rnnlm.inference.limits import Gate, Limits
        from rnnlm.inference.trained import Trained

        self.trained = Trained.load(Path(context.artifacts["checkpoint"]))
        self.limits = Limits.from_environment()
        self.gate = Gate(self.limits)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: list[str],
        params: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Do the task with each text; the module's text says what a row holds.

        Args:
            context: MLflow's; all that is needed of it was read by `load_context`.
            model_input: The texts.
            params: The task and its parameters; if None, the model's own task.

        Raises:
            Refused: If a parameter is wrong, or the server's limits do not allow the request.
        """
        from rnnlm.inference.answer import answer
        from rnnlm.inference.limits import BusyError, TooLargeError

        served = os.environ.get(SERVED, "").lower() == "true"
        try:
            with self.gate.place() if served else contextlib.nullcontext():
                return answer(self.trained, model_input, params or {}, self.limits if served else None)
        # Of any other error the server's answer says only that it was unexpected.
        except ConfigError as error:
            raise Refused(error, 400, INVALID_PARAMETER_VALUE) from error
        except TooLargeError as error:
            raise Refused(error, 413, BAD_REQUEST) from error
        except BusyError as error:
            raise Refused(error, 503, TEMPORARILY_UNAVAILABLE) from error


# MLflow would make the output's schema of it, and warn that it cannot: rnnlm.registry declares what a row holds.
del TextModel.predict.__annotations__["return"]


mlflow.models.set_model(TextModel())
