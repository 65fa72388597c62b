"""Uses of a trained model: classes and scores of texts, completions, n-best lists, spelling."""
