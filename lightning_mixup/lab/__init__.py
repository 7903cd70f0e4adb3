"""The laboratory: what trains, judges and compares recipes. It needs the ``recipes`` extra; the library does not."""
