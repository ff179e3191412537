"""Laws that every architecture obeys, to test an architecture of your own.

    import pytest
    from regard.testing import LAWS, check_architecture

    @pytest.mark.parametrize("law", LAWS, ids=str)
    def test_law(law):
        check_architecture("my_architecture", Config(hidden_size=16), laws=[law])

`check_architecture` without `laws` checks all of them at once. A law is also a function of a `Case`, which is an
architecture with tiny sizes and noise on its weights: `steps_agree_with_teacher_forcing(Case("my_architecture"))`.
Failures are AssertionErrors, and neither pytest nor another framework is needed.
"""

from regard.testing.architecture import LAWS as LAWS
from regard.testing.architecture import check_architecture as check_architecture
from regard.testing.assertions import InconclusiveError as InconclusiveError
from regard.testing.case import Case as Case
from regard.testing.dropout import Place as Place
from regard.testing.dropout import check_dropout_places as check_dropout_places
from regard.testing.law import Law as Law
