"""The engine: an array lives somewhere, a tensor remembers how it was computed. It knows no op."""
