"""What a watch promises, a validator for each promise, and tests that each of them rejects a doctored recording."""
