"""What the errors room promises."""

from __future__ import annotations

import pytest

from wideevents import errors
from wideevents.errors import ConfigurationError, WideEventsError


class TestFamily:
    def test_one_root_catches_every_error_of_the_package(self) -> None:
        """An application that wants to catch whatever we raise needs one name."""
        raised = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}

        assert {WideEventsError, ConfigurationError} == raised
        assert all(issubclass(error, WideEventsError) for error in raised)

    def test_a_refused_setting_is_a_value_error(self) -> None:
        """Who knows nothing of us catches a wrong setting as what it is in Python: a wrong value."""
        with pytest.raises(ValueError, match="must be"):
            raise ConfigurationError.of("level", "loud", "quiet")

    def test_the_tree_in_the_docstring_is_the_real_one(self) -> None:
        """The family is drawn for the reader; a drawing that leaves one out would mislead."""
        drawn = errors.__doc__ or ""

        assert all(name in drawn for name in ("WideEventsError", "ConfigurationError", "ValueError"))


class TestWording:
    def test_a_refusal_names_the_setting_the_value_and_what_is_allowed(self) -> None:
        """A person reads one sentence and knows what to change, where, and into what."""
        refusal = ConfigurationError.of("limits.max_bytes", 12, "at least 2048")

        assert str(refusal) == "limits.max_bytes=12 cannot be used: it must be at least 2048."

    def test_a_refusal_shows_the_value_as_python_writes_it(self) -> None:
        """An empty text and a number in quotes can be told from nothing and from a number."""
        assert "service=''" in str(ConfigurationError.of("service", "", "text"))
        assert "level='20'" in str(ConfigurationError.of("level", "20", "a number"))
