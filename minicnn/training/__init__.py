"""Training: steps and epochs, how well a model does, and what of a run is kept."""
