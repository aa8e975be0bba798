"""What a call centre means by its words: pure, synchronous, without I/O, clock or randomness."""
