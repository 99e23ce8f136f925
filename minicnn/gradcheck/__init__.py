"""The numerical check: is what backward says what the function does? And if not, what mistake does it look like?"""

from .check import GradientError, Report, gradcheck
from .verdict import Verdict

__all__ = ["GradientError", "Report", "Verdict", "gradcheck"]
