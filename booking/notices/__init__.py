"""Letters: what they say, how they leave, and the one function that sends what is due."""
