"""Step 1 as Prefect tasks: text files to cleaned and split documents, and the passages that they share."""

from rnnlm.steps import ingest as steps
from rnnlm.tasks.step import task_of

find_passages = task_of(steps.find_passages)
ingest = task_of(steps.ingest)
