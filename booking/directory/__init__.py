"""Who and where: hospitals, campuses, departments, doctors, where they practise, and each hospital's policy."""
