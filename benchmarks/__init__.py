"""How fast it is, and how that was found out."""
