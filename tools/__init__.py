"""Programs that measure and attack the library; none is a test, and none is in the wheel."""
