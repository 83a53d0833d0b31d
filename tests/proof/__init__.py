"""The proof of the whole: a storm of kills, a soak at full speed, and a fuzzer; each runs as a module, too."""
