"""The pipeline that trains, calibrates, measures and exports an artifact; not in the wheel."""
