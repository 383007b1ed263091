"""The front door: command line and demo."""
