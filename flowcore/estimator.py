"""The scikit-learn face of flowcore: fit on normal rows, score how well others fit."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from flowcore._version import __version__
from flowcore.attribution import conditional_gain
from flowcore.calibration import conformal_p_values
from flowcore.chain import FlowChain
from flowcore.defaults import choose_recipe
from flowcore.errors import DataError, NotCalibratedError, ParameterError, PersistenceError
from flowcore.fitting import fit_chain
from flowcore.persistence import check_format, read_model, write_model
from flowcore.preprocessing import Standardise
from flowcore.scorer import Scorer, batches
from flowcore.self_check import check_model
from flowcore.training import Progress

Floats = NDArray[np.float64]


class Evaluation(NamedTuple):
    """Everything about some rows from one pass, each of shape (n_windows,).

    Attributes
    ----------
    log_prob : ndarray
        As :meth:`FlowDensityEstimator.score_samples`, nats.
    standardised_log_prob : ndarray
        As :meth:`FlowDensityEstimator.standardised_log_prob`, nats.
    score : ndarray
        As :meth:`FlowDensityEstimator.anomaly_score`.
    p_value : ndarray
        As :meth:`FlowDensityEstimator.p_values`; NaN where the model is not calibrated.
    """

    log_prob: Floats
    standardised_log_prob: Floats
    score: Floats
    p_value: Floats


class FlowDensityEstimator(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Exact density of normal rows by a chain of flows, and an anomaly score from it.

    Fit it on rows that are normal; rows that do not fit get a low :meth:`score_samples` and a
    high :meth:`anomaly_score`. Rows are feature vectors; a score is no diagnosis.

    Parameters
    ----------
    method : str
        ``"lfm"`` (local flow matching, arXiv 2410.02548), ``"jko"`` (JKO-iFlow, arXiv 2212.14424)
        or ``"fm"`` (one block of global flow matching, arXiv 2210.02747).
    n_blocks : int
        Blocks of the chain; 1 for ``"fm"`` whatever is given.
    refine : bool
        Refine all blocks together by exact likelihood (guarded: never worse on held-out rows).
    hidden : int, optional
        Width of the velocity fields; by default chosen from the number of rows.
    gamma, ratio : float
        Diffusion time of the first block, and the factor from one block to the next.
    interpolant : str
        ``"linear"`` or ``"trigonometric"``.
    max_steps : int, optional
        Most optimiser steps per block; by default chosen from the number of rows.
    solver_steps : int
        Runge-Kutta steps per block.
    field : str or dict
        Velocity field of each block: ``"tanh"`` (closed-form divergence), ``"deep"``,
        ``{"kind": "deep", "depth": 4}``, or ``{"kind": "unet", "n_channels": 2}`` for rows that
        are windows of a signal, flattened channel by channel; see
        :func:`flowcore.fields.field_config`. Beyond 64 columns the last two estimate their
        log-density: :func:`flowcore.fields.log_prob_with_error` says how well.
    noise : float
        Standard deviation of Gaussian noise on every standardised column while training. The
        density is then that of the rows smoothed so far, which says less about the groups
        (patients) seen and more about others. 0 for the density of the rows as they are.
    soften : float, optional
        Columns are drawn in, like a logarithm, beyond the quantiles of the fit that leave out
        this share on each side, so that one column far beyond what was seen does not outrank
        rows that are odd in several. None for no column.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    random_state : int, numpy.random.RandomState or None
        The same seed gives the same model, bit for bit, on one processor with one number of
        threads and one version of torch: every draw comes from one generator on the CPU. On a
        GPU ask torch for the same with ``torch.use_deterministic_algorithms(True)``; without it
        two fits agree up to rounding that training enlarges. None draws a fresh seed.

    Attributes
    ----------
    chain_ : FlowChain
        The fitted chain: ``transform``, ``inverse``, ``log_prob``, ``sample`` on tensors.
    scorer_ : Scorer
        Turns the density and the distance to the training rows into the anomaly score.
    outcomes_ : list of Outcome
        Held-out loss before and after each stage of training.
    n_features_in_ : int
        Width of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = FlowDensityEstimator(max_steps=50, random_state=0).fit(rows)
    >>> scores = model.anomaly_score([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    >>> bool(scores[1] > scores[0])
    True
    """

    def __init__(
        self,
        method: str = "lfm",
        n_blocks: int = 4,
        refine: bool = True,
        *,
        hidden: int | None = None,
        gamma: float = 0.1,
        ratio: float = 1.5,
        interpolant: str = "linear",
        max_steps: int | None = None,
        solver_steps: int = 4,
        field: str | dict[str, Any] = "tanh",
        noise: float = 0.0,
        soften: float | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.method = method
        self.n_blocks = n_blocks
        self.refine = refine
        self.hidden = hidden
        self.gamma = gamma
        self.ratio = ratio
        self.interpolant = interpolant
        self.max_steps = max_steps
        self.solver_steps = solver_steps
        self.field = field
        self.noise = noise
        self.soften = soften
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        *,
        context: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> FlowDensityEstimator:
        """Fit to normal rows.

        Parameters
        ----------
        X : array of shape (n_windows, n_features)
            Finite numbers, at least two rows. Constant, duplicate and discrete columns are fine.
        y : object
            Ignored.
        context : array of shape (n_windows, n_context), optional
            Conditions the density; then required by every scoring method.
        groups : array of shape (n_windows,), optional
            Rows of one group (a patient) are held out together for early stopping.
        progress : callable, optional
            ``progress(stage, done, total)``, called from time to time.

        Returns
        -------
        FlowDensityEstimator
            The fitted estimator itself.
        """
        del y
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        rows = torch.from_numpy(np.array(X))
        recipe = choose_recipe(self, *rows.shape)
        self._context_scale = None if context is None else _fit_context(context, len(rows))
        prepared = self._context(context, len(rows))
        fitted = fit_chain(
            rows,
            recipe,
            torch.Generator().manual_seed(self._seed()),
            context=prepared,
            groups=_group_numbers(groups),
            device=_device(self.device),
            progress=progress,
        )
        self._gammas = recipe.matching.gammas if recipe.method == "lfm" else ()
        self.chain_ = fitted.chain.double().eval()
        self.outcomes_ = fitted.outcomes
        train, held_out = (
            (self._put(rows[part]), self._put(None if prepared is None else prepared[part]))
            for part in (fitted.train, fitted.held_out)
        )
        self.scorer_ = Scorer.fit(self.chain_, self._gammas, train, held_out)
        check_model(fitted, self.scorer_, train[0], *held_out)
        self._calibration: Floats | None = None
        return self

    def score_samples(self, X: ArrayLike, context: ArrayLike | None = None) -> Floats:
        """Return the natural log of the density of each row, shape (n_windows,).

        Nats per row, in the units of `X`: higher fits better. It is not a probability.
        """
        return self._stream(lambda x, c: self.chain_.log_prob(x, c), X, context)

    def standardised_log_prob(self, X: ArrayLike, context: ArrayLike | None = None) -> Floats:
        """Return the log-density of the rows after each feature was standardised, nats.

        :meth:`score_samples` without the log-determinant of the standardising step: it does not
        change with the units of the features.
        """
        return self.score_samples(X, context) - self._unit_log_det()

    def score(self, X: ArrayLike, y: object = None, context: ArrayLike | None = None) -> float:
        """Return the mean of :meth:`score_samples`, nats per row."""
        del y
        return float(self.score_samples(X, context).mean())

    def anomaly_score(self, X: ArrayLike, context: ArrayLike | None = None) -> Floats:
        """Return the combined anomaly score of each row, higher is more abnormal, no unit.

        A row's score never depends on the rows it is scored with.
        """
        return self._evaluate(X, context)[:, 1]

    def evaluate(self, X: ArrayLike, context: ArrayLike | None = None) -> Evaluation:
        """Return log-density, score and p-value of each row from one pass over the chain.

        The same numbers as from :meth:`score_samples`, :meth:`standardised_log_prob`,
        :meth:`anomaly_score` and :meth:`p_values`, which each take a pass of their own.
        """
        log_prob, score = self._evaluate(X, context).T
        if self._calibration is None:
            p_value = np.full(len(score), np.nan)
        else:
            p_value = conformal_p_values(score, self._calibration)
        return Evaluation(log_prob, log_prob - self._unit_log_det(), score, p_value)

    def statistics(self, X: ArrayLike, context: ArrayLike | None = None) -> dict[str, Floats]:
        """Return the statistics behind :meth:`anomaly_score`, and others for audit, by name."""
        check_is_fitted(self, "chain_")
        table = self._stream(self.scorer_.audit, X, context)
        return dict(zip(self.scorer_.names, table.T, strict=True))

    def calibrate(self, X: ArrayLike, context: ArrayLike | None = None) -> FlowDensityEstimator:
        """Store the scores of held-out normal rows that :meth:`p_values` compares with.

        The rows must not have been used in :meth:`fit`.
        """
        self._calibration = np.sort(self.anomaly_score(X, context))
        return self

    def p_values(self, X: ArrayLike, context: ArrayLike | None = None) -> Floats:
        """Return conformal p-values in (0, 1]; small is abnormal. Needs :meth:`calibrate`."""
        check_is_fitted(self, "chain_")
        if self._calibration is None:
            raise NotCalibratedError(
                "this model is not calibrated; call calibrate(X) with normal rows that were "
                "not used in fit"
            )
        return conformal_p_values(self.anomaly_score(X, context), self._calibration)

    def attribute(self, X: ArrayLike, context: ArrayLike | None = None) -> Floats:
        """Return per feature how much of a row's improbability it answers for, nats.

        Shape (n_windows, n_features), at least 0: the gain in log-density if that feature alone
        took a likely value given the others. Costs nine evaluations per row or fewer.
        """

        def gains(x: Tensor, c: Tensor | None) -> Tensor:
            return conditional_gain(lambda rows: self.chain_.log_prob(rows, c), self.chain_, x)

        return self._stream(gains, X, context)

    def sample(self, n: int = 1, context: ArrayLike | None = None, seed: int = 0) -> Floats:
        """Draw `n` rows from the density, shape (n, n_features); the same seed, the same rows."""
        check_is_fitted(self, "chain_")
        prepared = self._context(context, n)
        drawn = self.chain_.sample(n, torch.Generator().manual_seed(seed), self._put(prepared))
        return np.asarray(drawn.cpu().numpy(), dtype=np.float64)

    def save(self, path: str | Path) -> None:
        """Write the model as a folder of safetensors, JSON and hashes."""
        write_model(path, *self.to_state())

    def to_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return ``(tensors, config)``; `config` is JSON-able. See :meth:`from_state`."""
        check_is_fitted(self, "chain_")
        tensors = {f"chain.{k}": v.detach().cpu() for k, v in self.chain_.state_dict().items()}
        tensors |= {f"score.{k}": v.cpu() for k, v in self.scorer_.state().items()}
        if self._context_scale is not None:
            state = self._context_scale.state_dict()
            tensors |= {f"context.{k}": v for k, v in state.items()}
        if self._calibration is not None:
            tensors["calibration"] = torch.from_numpy(self._calibration)
        parameters = self.get_params(deep=False)
        if not isinstance(parameters["random_state"], int | None):
            parameters["random_state"] = None
        names = getattr(self, "feature_names_in_", None)
        config = {
            "flowcore_version": __version__,
            "parameters": parameters,
            "chain": self.chain_.config(),
            "gammas": [str(g) for g in self._gammas],
            "feature_names": None if names is None else [str(n) for n in names],
        }
        return tensors, config

    @classmethod
    def from_state(
        cls, tensors: dict[str, Tensor], config: dict[str, Any], device: str | None = None
    ) -> FlowDensityEstimator:
        """Rebuild the estimator that :meth:`to_state` describes, bit for bit."""
        check_format(config)
        odd = [k for k, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]
        if odd:
            raise PersistenceError(
                f"the stored tensor {odd[0]!r} holds numbers that are not finite; the model is "
                "damaged, restore it from a copy or fit it again"
            )
        try:
            return cls._rebuild(tensors, config, device)
        except PersistenceError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise PersistenceError(
                f"the stored model is incomplete or of another version ({error}); fit it again"
            ) from error

    @classmethod
    def _rebuild(
        cls, tensors: dict[str, Tensor], config: dict[str, Any], device: str | None
    ) -> FlowDensityEstimator:
        estimator = cls(**config["parameters"])
        chain = FlowChain.from_config(config["chain"]).double().eval()
        chain.load_state_dict(_part(tensors, "chain."))
        estimator.chain_ = chain.to(_device(device or estimator.device))
        estimator._gammas = tuple(float(g) for g in config["gammas"])
        estimator.n_features_in_ = chain.dim
        if config["feature_names"] is not None:
            estimator.feature_names_in_ = np.array(config["feature_names"], dtype=object)
        context = _part(tensors, "context.")
        estimator._context_scale = Standardise(len(context["center"])) if context else None
        if estimator._context_scale is not None:
            estimator._context_scale.load_state_dict(context)
        estimator.scorer_ = Scorer.from_state(
            estimator.chain_, estimator._gammas, _part(tensors, "score."), bool(context)
        )
        stored = tensors.get("calibration")
        estimator._calibration = None if stored is None else stored.numpy().copy()
        return estimator

    def _evaluate(self, X: ArrayLike, context: ArrayLike | None) -> Floats:
        """Return log-density and score, shape (n, 2)."""
        check_is_fitted(self, "chain_")
        return self._stream(self.scorer_.evaluate, X, context)

    def _unit_log_det(self) -> float:
        """Return the log-determinant of the standardising step, which holds the units."""
        like = torch.zeros(1, self.chain_.dim, dtype=torch.float64)
        steps = [s for s in self.chain_.steps if isinstance(s, Standardise)]
        return sum(float(step.log_det(self._put(like))) for step in steps)

    def _stream(
        self,
        function: Callable[[Tensor, Tensor | None], Tensor],
        X: ArrayLike,
        context: ArrayLike | None,
    ) -> Floats:
        """Apply a row-wise function batch by batch on the model's device."""
        check_is_fitted(self, "chain_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        rows = torch.from_numpy(np.array(X))
        prepared = self._context(context, len(rows))
        with torch.no_grad():
            parts = [
                function(self._put(x), self._put(c)).cpu().numpy()
                for x, c in batches(rows, prepared)
            ]
        return np.concatenate(parts)

    def _put(self, x: Any) -> Any:
        device = next(self.chain_.buffers()).device
        return None if x is None else x.to(device)

    def _context(self, context: ArrayLike | None, n: int) -> Tensor | None:
        if self._context_scale is None:
            if context is not None:
                raise DataError("this model was fitted without a context; leave context out")
            return None
        if context is None:
            raise DataError("this model was fitted with a context; pass context for every row")
        values = _context_array(context)
        wanted = (n, self._context_scale.dim)
        if values.shape != wanted:
            raise DataError(f"context has shape {tuple(values.shape)}; it must be {wanted}")
        return self._context_scale.forward(values)

    def _seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(62)
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31 - 1))
        return int(self.random_state)


def load(path: str | Path, device: str | None = None) -> FlowDensityEstimator:
    """Load a model folder written by :meth:`FlowDensityEstimator.save`.

    Raises
    ------
    PersistenceError
        If a file is missing, altered, cut short, pickled, or of a newer format.
    """
    tensors, config = read_model(path)
    return FlowDensityEstimator.from_state(tensors, config, device)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device='cuda' but no CUDA device is visible; use 'cpu' or 'auto'")
    if name not in ("cpu", "cuda"):
        raise ParameterError(f"device={name!r} is unknown; choose 'auto', 'cpu' or 'cuda'")
    return torch.device(name)


def _context_array(context: ArrayLike) -> Tensor:
    values = check_array(context, dtype=np.float64, input_name="context")
    return torch.from_numpy(np.array(values))


def _fit_context(context: ArrayLike, n: int) -> Standardise:
    values = _context_array(context)
    if len(values) != n:
        raise DataError(f"context has {len(values)} rows; X has {n}")
    return Standardise.fit(values)


def _group_numbers(groups: ArrayLike | None) -> Tensor | None:
    if groups is None:
        return None
    return torch.from_numpy(np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1))
