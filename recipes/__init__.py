"""The sentences: each YAML here is one reproducible run, ``lightning-mixup recipe=NAME``."""
