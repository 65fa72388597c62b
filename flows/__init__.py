"""The workflow: what runs after what."""

from rnnlm.environment import prepare

# Prefect, MLflow and TensorFlow read the environment when they are imported. No module here is imported before this.
prepare()
