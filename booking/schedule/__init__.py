"""When doctors see patients: templates, dated sessions, slots and places; capacity is the number of place rows."""
