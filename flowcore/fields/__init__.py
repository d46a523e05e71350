"""Velocity fields beside the default: linear, sums, deep networks, convolutions on raw windows.

All of them are :class:`flowcore.velocity.VelocityField`; ``build_field`` finds them by kind.
"""

from collections.abc import Callable

from flowcore.fields.choice import field_config, keeps_order, new_field
from flowcore.fields.deep import DeepField
from flowcore.fields.linear import LinearField
from flowcore.fields.probed import EstimatedLogProb, ProbedField, log_prob_with_error
from flowcore.fields.sums import SumField
from flowcore.fields.unet import UNetField
from flowcore.velocity import VelocityField

MORE_FIELDS: dict[str, Callable[..., VelocityField]] = {
    LinearField.kind: LinearField,
    SumField.kind: SumField,
    DeepField.kind: DeepField,
    UNetField.kind: UNetField,
}
"""Kinds of field that :func:`flowcore.velocity.build_field` can build beside its own."""

__all__ = [
    "MORE_FIELDS",
    "DeepField",
    "EstimatedLogProb",
    "LinearField",
    "ProbedField",
    "SumField",
    "UNetField",
    "field_config",
    "keeps_order",
    "log_prob_with_error",
    "new_field",
]
