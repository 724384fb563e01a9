"""Where SQL of a user's runs: over three views and nothing else, within limits."""
