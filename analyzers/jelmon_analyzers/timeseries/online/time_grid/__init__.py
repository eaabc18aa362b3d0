"""How time is cut: ticks into slots, slots into blocks and days, days by the clock of a time zone."""
