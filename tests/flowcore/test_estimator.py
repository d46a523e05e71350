"""The estimator as a user meets it: scikit-learn's contract, seeds, batches, odd data."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from flowcore import FlowDensityEstimator, load
from flowcore.chain import FlowChain
from flowcore.errors import DataError, FlowError, NotCalibratedError, ParameterError
from flowcore.fitting import MOST_HELD_OUT, split

QUICK = {"max_steps": 40, "n_blocks": 2, "random_state": 0, "device": "cpu"}


def rows(n=300, d=4, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) @ np.random.default_rng(99).normal(size=(d, d)) + 3


def curve(n, seed=0):
    """A bent, non-Gaussian cloud in three columns."""
    generator = np.random.default_rng(seed)
    t = generator.uniform(-2, 2, n)
    return np.c_[t, t**2, np.sin(2 * t)] + 0.1 * generator.normal(size=(n, 3))


@pytest.fixture(scope="module")
def fitted():
    return FlowDensityEstimator(**QUICK).fit(rows()).calibrate(rows(seed=1))


@pytest.fixture(scope="module")
def bent():
    return FlowDensityEstimator(max_steps=400, device="cpu").fit(curve(1500))


@parametrize_with_checks([FlowDensityEstimator(max_steps=20, n_blocks=2, device="cpu")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    first, again = (FlowDensityEstimator(**QUICK).fit(rows()) for _ in range(2))
    other = FlowDensityEstimator(**{**QUICK, "random_state": 1}).fit(rows())
    new = rows(seed=2)
    for name in ("score_samples", "anomaly_score"):
        assert np.array_equal(getattr(first, name)(new), getattr(again, name)(new))
        assert not np.array_equal(getattr(first, name)(new), getattr(other, name)(new))


def test_no_global_random_state_is_touched_or_used():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = FlowDensityEstimator(**QUICK).fit(rows())
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(2)
    assert np.array_equal(
        first.score_samples(rows()), FlowDensityEstimator(**QUICK).fit(rows()).score_samples(rows())
    )


@pytest.mark.parametrize("name", ["score_samples", "anomaly_score", "p_values", "attribute"])
def test_a_row_scores_the_same_alone_and_in_any_company(fitted, name):
    score = getattr(fitted, name)
    new = np.concatenate([rows(2500, seed=3), 50 * rows(10, seed=4)])
    together = score(new)
    assert not np.isnan(together).any()
    for i in (0, 17, 2047, 2048, 2505):
        np.testing.assert_allclose(score(new[[i]])[0], together[i], rtol=1e-9, atol=1e-9)
    order = np.random.default_rng(0).permutation(len(new))
    np.testing.assert_allclose(score(new[order]), together[order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("with_context", [False, True])
def test_a_saved_model_scores_bit_for_bit_alike(tmp_path, with_context):
    new, context = rows(50, seed=5), rows(50, 2, seed=6)
    given = {"context": rows(300, 2, seed=7)} if with_context else {}
    asked = {"context": context} if with_context else {}
    model = FlowDensityEstimator(**QUICK).fit(rows(), **given)
    model.calibrate(new, **asked)
    model.save(tmp_path / "model")
    twin = load(tmp_path / "model", device="cpu")
    for name in ("score_samples", "standardised_log_prob", "anomaly_score", "p_values"):
        assert np.array_equal(getattr(model, name)(new, **asked), getattr(twin, name)(new, **asked))
    assert np.array_equal(model.attribute(new, **asked), twin.attribute(new, **asked))
    sampled = [m.sample(50, seed=1, **asked) for m in (model, twin)]
    assert np.array_equal(*sampled)
    assert twin.get_params() == model.get_params()


def test_state_is_json_and_tensors(fitted):
    tensors, config = fitted.to_state()
    assert all(isinstance(t, torch.Tensor) for t in tensors.values())
    twin = FlowDensityEstimator.from_state(tensors, json.loads(json.dumps(config)))
    assert np.array_equal(twin.anomaly_score(rows()), fitted.anomaly_score(rows()))


def test_p_values_are_conformal(fitted):
    p = fitted.p_values(np.concatenate([rows(500, seed=8), 100 * rows(20, seed=9)]))
    assert ((p > 0) & (p <= 1)).all()
    assert (p[500:] == 1 / 301).all()  # beyond every calibration row
    assert abs((p[:500] <= 0.2).mean() - 0.2) < 0.09
    with pytest.raises(NotCalibratedError, match="calibrate"):
        FlowDensityEstimator(**QUICK).fit(rows()).p_values(rows())


def test_one_pass_says_what_each_method_says(fitted):
    new = rows(700, seed=12)
    together = fitted.evaluate(new)
    assert np.array_equal(together.log_prob, fitted.score_samples(new))
    assert np.array_equal(together.standardised_log_prob, fitted.standardised_log_prob(new))
    assert np.array_equal(together.score, fitted.anomaly_score(new))
    assert np.array_equal(together.p_value, fitted.p_values(new))
    assert np.isnan(FlowDensityEstimator(**QUICK).fit(rows()).evaluate(new).p_value).all()


def test_obvious_outliers_rank_first(fitted):
    new = rows(400, seed=10)
    far = new.mean(0) + 8 * new.std(0) * np.eye(4)
    scores = fitted.anomaly_score(np.concatenate([new, far]))
    assert scores[400:].min() > scores[:400].max()
    density = fitted.score_samples(np.concatenate([new, far]))
    assert density[400:].max() < density[:400].min()


def test_fit_moves_every_block_and_beats_its_own_start(bent):
    for outcome in bent.outcomes_:
        assert outcome.after < outcome.before
    for block in bent.chain_.blocks:
        assert float(block.field.w3.detach().abs().max()) > 0
    chain = bent.chain_
    new = torch.from_numpy(curve(1000, seed=1))
    start = FlowChain(chain.dim, [], chain.steps, chain.solver)  # what a fresh chain computes
    with torch.no_grad():
        gain = (chain.log_prob(new) - start.log_prob(new)).mean()
    assert gain > 0.5  # nats a row


def test_a_bent_cloud_is_told_from_its_own_mean_and_from_a_gaussian(bent):
    inside = np.array([[0.0, 2.0, 0.0], [1.5, 0.5, 0.5]])  # near the mean, off the curve
    assert bent.anomaly_score(inside).min() > np.quantile(bent.anomaly_score(curve(500, 2)), 0.99)
    generator = np.random.default_rng(5)
    normal, cloud = curve(600, 3), curve(600, 4)
    gaussian = generator.multivariate_normal(cloud.mean(0), np.cov(cloud.T), 600)
    scores = bent.anomaly_score(np.concatenate([normal, gaussian]))
    assert roc_auc_score(np.repeat([0, 1], 600), scores) > 0.9


def test_samples_look_like_the_rows(bent):
    drawn, true = bent.sample(3000, seed=0), curve(3000, 6)
    np.testing.assert_allclose(drawn.mean(0), true.mean(0), atol=0.12)
    np.testing.assert_allclose(drawn.std(0), true.std(0), rtol=0.12)
    assert np.array_equal(drawn, bent.sample(3000, seed=0))
    assert not np.array_equal(drawn, bent.sample(3000, seed=1))
    z, _ = bent.chain_.transform(torch.from_numpy(true))
    np.testing.assert_allclose(bent.chain_.inverse(z).detach(), true, atol=5e-3)


def test_density_is_that_of_raw_units():
    data = rows()
    model = FlowDensityEstimator(**QUICK).fit(data)
    scaled = FlowDensityEstimator(**QUICK).fit(1000 * data)
    np.testing.assert_allclose(
        scaled.score_samples(1000 * data), model.score_samples(data) - 4 * np.log(1000), atol=1e-3
    )
    np.testing.assert_allclose(
        scaled.standardised_log_prob(1000 * data), model.standardised_log_prob(data), atol=1e-3
    )


@pytest.mark.parametrize("method", ["lfm", "jko", "fm"])
def test_every_method_fits(method):
    model = FlowDensityEstimator(**{**QUICK, "method": method, "max_steps": 150}).fit(curve(600))
    new = curve(300, 1)
    wide = new.mean(0) + 6 * new.std(0) * np.random.default_rng(0).normal(size=(300, 3))
    scores = model.anomaly_score(np.concatenate([new, wide]))
    assert roc_auc_score(np.repeat([0, 1], 300), scores) > 0.9
    gaussian = -0.5 * np.linalg.slogdet(2 * np.pi * np.e * np.cov(new.T))[1]
    assert model.score(new) > gaussian
    assert len(model.statistics(new)) >= 3


def test_context_moves_the_density():
    generator = np.random.default_rng(0)
    context = generator.uniform(-1, 1, (800, 1))
    data = 3 * context + 0.3 * generator.normal(size=(800, 1)) + np.zeros((1, 2))
    data[:, 1] = generator.normal(size=800)
    model = FlowDensityEstimator(max_steps=250, n_blocks=2, device="cpu").fit(data, context=context)
    probe, at = np.array([[3.0, 0.0], [3.0, 0.0]]), np.array([[1.0], [-1.0]])
    density = model.score_samples(probe, context=at)
    assert density[0] > density[1] + 1
    assert model.anomaly_score(probe, context=at)[1] > model.anomaly_score(probe, context=at)[0]
    drawn = model.sample(2, context=at)
    assert drawn[0, 0] > drawn[1, 0]
    assert model.attribute(probe, context=at).shape == (2, 2)
    with pytest.raises(DataError, match="pass context"):
        model.score_samples(probe)
    with pytest.raises(DataError, match="shape"):
        model.score_samples(probe, context=at[:1])
    with pytest.raises(DataError, match="without a context"):
        FlowDensityEstimator(**QUICK).fit(rows()).score_samples(rows(), context=rows())


def test_groups_are_held_out_together():
    groups = torch.arange(200) // 20
    train, held_out = split(200, 0.2, torch.Generator().manual_seed(0), groups)
    assert sorted(torch.cat([train, held_out]).tolist()) == list(range(200))
    assert not set(groups[train].tolist()) & set(groups[held_out].tolist())
    assert len(held_out) == 40
    assert held_out.tolist() != sorted(held_out.tolist())  # the first rows serve as reference
    big = split(100_000, 0.2, torch.Generator().manual_seed(0))
    assert len(big[1]) == MOST_HELD_OUT
    assert len(torch.cat(big).unique()) == 100_000
    FlowDensityEstimator(**QUICK).fit(rows(), groups=np.repeat(["a", "b", "c"], 100))
    with pytest.raises(DataError, match="groups"):
        FlowDensityEstimator(**QUICK).fit(rows(), groups=["a"])


@pytest.mark.slow
def test_feature_values_of_odd_shape_are_fitted_and_scored():
    generator = np.random.default_rng(0)
    base = generator.normal(size=(300, 3))
    cases = {
        "constant": np.c_[base, np.full(300, 7.0)],
        "all constant": np.ones((300, 2)),
        "duplicate": np.c_[base, base[:, 0]],
        "discrete": generator.integers(0, 3, (300, 4)),
        "binary and rare": (generator.random((300, 5)) < [0.5, 0.1, 0.01, 0.004, 0]).astype(float),
        "one column": base[:, :1],
        "fifty rows": base[:50],
        "few rows": base[:5],
        "two rows": base[:2],
        "wide": generator.normal(size=(60, 200)),
        "repeated rows": np.repeat(base[:10], 30, 0),
        "heavy tails": generator.standard_cauchy((300, 3)) ** 3,
        "huge and tiny": base * [1e150, 1e-150, 1.0],
        "integers": generator.integers(-(10**9), 10**9, (300, 2)),
    }
    for name, X in cases.items():
        model = FlowDensityEstimator(**QUICK).fit(X)
        for values in (model.score_samples(X), model.anomaly_score(X), model.sample(5)):
            assert np.isfinite(values).all(), name
        far = X[:1] + 1e3 * (1 + np.abs(X).max(0))
        assert np.isfinite(model.anomaly_score(far)).all(), name
        assert model.anomaly_score(far)[0] >= model.anomaly_score(X).max(), name


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(fitted, bad):
    X = rows()
    X[3, 1] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        FlowDensityEstimator(**QUICK).fit(X)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fitted.score_samples(X)


def test_one_row_and_wrong_width_are_refused(fitted):
    with pytest.raises(ValueError, match="minimum of 2"):
        FlowDensityEstimator(**QUICK).fit(rows(1))
    with pytest.raises(ValueError, match="features"):
        fitted.anomaly_score(rows(10, 3))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"method": "glow"}, "lfm"),
        ({"n_blocks": 0}, "at least 1"),
        ({"n_blocks": 2.5}, "whole number"),
        ({"hidden": -3}, "at least 1"),
        ({"max_steps": 0}, "at least 1"),
        ({"solver_steps": 0}, "at least 1"),
        ({"gamma": 0.0}, "positive"),
        ({"interpolant": "cubic"}, "linear"),
        ({"device": "tpu"}, "cpu"),
        ({"noise": -0.1}, "at least 0"),
        ({"noise": float("nan")}, "at least 0"),
        ({"soften": 0.5}, "between 0 and 0.5"),
    ],
)
def test_bad_parameters_are_refused_in_words(parameters, said):
    with pytest.raises(ParameterError, match=said) as caught:
        FlowDensityEstimator(**{**QUICK, **parameters}).fit(rows())
    assert isinstance(caught.value, FlowError)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is visible")
def test_cuda_without_a_device_is_refused_in_words():
    with pytest.raises(ParameterError, match="no CUDA device"):
        FlowDensityEstimator(**{**QUICK, "device": "cuda"}).fit(rows())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_and_cpu_agree(tmp_path):
    FlowDensityEstimator(**QUICK).fit(rows()).save(tmp_path / "model")
    on = {name: load(tmp_path / "model", device=name) for name in ("cpu", "cuda")}
    new = rows(3000, seed=1)
    np.testing.assert_allclose(
        on["cuda"].score_samples(new), on["cpu"].score_samples(new), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        on["cuda"].anomaly_score(new), on["cpu"].anomaly_score(new), rtol=1e-9, atol=1e-9
    )
    trained = FlowDensityEstimator(**{**QUICK, "device": "cuda"}).fit(rows())
    assert abs(trained.score(new) - on["cpu"].score(new)) < 0.5


def test_progress_is_told_and_numbers_of_steps_are_kept():
    told = []
    FlowDensityEstimator(**QUICK).fit(rows(), progress=lambda *what: told.append(what))
    assert {"flow matching", "refining"} <= {stage for stage, _, _ in told}
    assert all(0 < done <= total for _, done, total in told)
