"""Encoders, teachers, training, calibration and export."""
