"""The steps of an experiment, and the order in which they run; whatever runs them, and wherever they are recorded."""
