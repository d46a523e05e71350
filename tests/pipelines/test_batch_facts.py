import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.batch.facts import model_facts
from pipelines.batch.task import Job
from pipelines.errors import ModelError

NOT_LOADED = """
import sys
from pathlib import Path
from pipelines.batch import Ledger
from pipelines.batch.facts import model_facts
from pipelines.batch.task import Job
model_facts(Job(Path(sys.argv[1]), "", Path("run"), None, "auto"), elsewhere=True)
print(sorted({"torch", "scipy", "pandas", "sqlalchemy"} & set(sys.modules)))
"""


def job_with(model: Path) -> Job:
    return Job(model, "sha", Path("run"), None, "cpu")


def test_the_files_say_what_the_loaded_model_says(tiny_model):
    loaded = model_facts(job_with(tiny_model), elsewhere=False)
    assert loaded.pop("device") == "cpu"
    assert model_facts(job_with(tiny_model), elsewhere=True) == loaded


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "calibration.json"])
def test_a_damaged_model_is_refused_before_another_process_starts(name, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[:-9] + b"x" + content[-8:])
    with pytest.raises(ModelError, match="does not match its hash"):
        model_facts(job_with(model), elsewhere=True)


def test_a_process_that_does_not_score_loads_nothing_of_the_model(tiny_model):
    done = subprocess.run(
        [sys.executable, "-c", NOT_LOADED, tiny_model], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
