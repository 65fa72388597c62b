"""Step 5 as Prefect tasks: from the source model to the target's."""

from rnnlm.steps import cells
from rnnlm.tasks.step import task_of

finetune = task_of(cells.finetune)
measure_forgetting = task_of(cells.measure_forgetting)
