"""The way of decoded samples into the tables, each exactly once."""
