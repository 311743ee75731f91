"""What crosses the Line: frames, messages, and the state machine of one end. No I/O."""
