"""The demo, whose values the forms show first."""

from rnnlm.experiment import load_experiment

DEMO = load_experiment("demo")
