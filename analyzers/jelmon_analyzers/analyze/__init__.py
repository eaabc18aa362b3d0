"""``jelmon analyze``: the change points of a CSV file, listed under a chart in the terminal."""
