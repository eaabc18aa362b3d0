"""What belongs here: series, from their label sets to the ids that the database gives them."""
