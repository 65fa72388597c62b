"""The LSTM language model, the classifier on its encoder, and how they lie on disk."""
