"""Who works for a hospital, what each role may do, and the trail of what they did."""
