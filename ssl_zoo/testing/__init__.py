"""The contract of a method, and the check of it: for any method that is registered, a plugin's too.

    from ssl_zoo.testing import check_method
    check_method("simsiam")

as scikit-learn's `check_estimator`; `ssl-zoo check method=simsiam` prints a line per clause. A clause is a function
whose docstring says what it demands: in `declared`, `losses`, `processes`, `steps`, `resuming` and `devices`.
"""

from ssl_zoo.testing.check import Checked, check_clauses, check_method, clauses
from ssl_zoo.testing.contract import ContractError

__all__ = ["Checked", "ContractError", "check_clauses", "check_method", "clauses"]
