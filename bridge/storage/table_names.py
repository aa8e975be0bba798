"""Where every table is entered, whichever module says what it holds."""

from typing import Final

from sqlalchemy import MetaData

entered: Final = MetaData()
