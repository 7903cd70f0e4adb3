"""The vocabulary of ``lightning-mixup``: one folder a config group, one YAML an option.

Use the groups in your own Hydra application with
``hydra.searchpath=[pkg://lightning_mixup.conf] +mix@callbacks.mix=cutmix``.
"""
