"""towline: the live line between a project folder and a borrowed machine.

This package is a façade: it holds no logic and imports nothing until it is asked.
"""

__version__ = "0.1.0"
