"""What differential_druid.py asks about: one file a kind of question."""
