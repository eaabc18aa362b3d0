"""What is usual for a series: its domain, its curve of the day, and how noisy it is at each hour."""
