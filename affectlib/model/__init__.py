"""An artifact, and what reads with it: windows, encoding, engines, calibration, decisions."""
