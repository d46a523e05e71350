"""From windows of signal to the numbers that a model is fitted on."""
