"""The checker that the test run puts on every annotated function of `microgpt_ref`, shapes included."""

from beartype import BeartypeConf
from beartype import beartype as _beartype

# An int is welcome where a float is asked for, as in PEP 484 and as in daily life.
beartype = _beartype(conf=BeartypeConf(is_pep484_tower=True))
