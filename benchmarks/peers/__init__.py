"""Other people's code on the same features, scored by the same rules."""
