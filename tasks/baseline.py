"""Step 6 as a Prefect task: what the target task comes to without the source."""

from rnnlm.steps import cells
from rnnlm.tasks.step import task_of

baseline = task_of(cells.baseline)
