"""Step 2 as Prefect tasks: documents to tokens."""

from rnnlm.steps import tokenize as steps
from rnnlm.tasks.step import task_of

encode = task_of(steps.encode)
reverse = task_of(steps.reverse)
tokenize = task_of(steps.tokenize)
train_tokenizer = task_of(steps.train_tokenizer)
