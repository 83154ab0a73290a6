"""The parts of eval_code.py: one module for each measurement, and what they share."""
