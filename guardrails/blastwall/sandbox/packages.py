"""What a machine's own Python has beside the standard library: what carries a tool in, and its types."""

PACKAGES = (
    "annotated_types",
    "cloudpickle",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
)
"""Import names. A function of any other package goes in by value, and can't import it there."""
