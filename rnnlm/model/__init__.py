"""The language model, the model of a target task on its encoder, and their files."""
