"""What a trained model is used for: classes and scores of texts, completions, n-best lists, spelling."""
