"""From samples to windows: channels, rates, filters, references, heartbeats, stretches of EEG."""
