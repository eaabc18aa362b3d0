"""Series, from their label sets to the ids that the database gives them."""
