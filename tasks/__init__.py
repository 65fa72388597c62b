"""The seven steps as Prefect tasks: thin wrappers around the library, one file a step."""
