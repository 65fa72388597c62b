"""The LSTM language model, the classifier on its encoder, and their files."""
