"""Other projects' code on the same features, scored by the same rules."""
