"""A trained model in use, beside fastai's `predict`."""
