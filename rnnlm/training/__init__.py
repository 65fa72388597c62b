"""The loop's parts: batches, schedules, and the training of a language model and of a model of the target task."""
