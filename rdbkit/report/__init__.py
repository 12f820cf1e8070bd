"""The only rooms that know terminals, units, colours, escaping, CSV and JSON.

`rdbkit.report` is also the name of a function (analysis.report.report), so this package can be called as that.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *what: Any, **options: Any) -> Any:
        from rdbkit.analysis.report import report

        return report(*what, **options)


sys.modules[__name__].__class__ = _Callable
