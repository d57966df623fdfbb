"""What every stage may import: statuses, errors, checked integers, alignment."""
