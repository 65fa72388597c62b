"""The workflow: what runs after what, and the command line."""
