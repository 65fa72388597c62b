"""Step 3 as a Prefect task: the source model."""

from rnnlm.steps import pretrain as steps
from rnnlm.tasks.step import task_of

pretrain = task_of(steps.pretrain)
