"""A machine that is killed without warning while a training script writes checkpoints there."""
