"""``jelmon init``: a new project with the shipped rules; ``files/`` holds what the repository itself does not have."""
