"""Scores of a model on documents, and what a comparison of scores allows to say."""
