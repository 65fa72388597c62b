"""Step 1 as a Prefect task: text files to cleaned and split documents."""

from rnnlm.steps import ingest as steps
from rnnlm.tasks.step import task_of

ingest = task_of(steps.ingest)
