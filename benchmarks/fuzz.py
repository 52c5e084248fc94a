"""Give each format that comes from outside as many changed files as fit into a time, and count them.

    python benchmarks/fuzz.py                                   # every target, 20 minutes each, two at a time
    python benchmarks/fuzz.py --minutes 1 --targets head yaml

The targets are the property tests of the suite (`any` in their names); a head, a store, a record, a table and so on is changed
in its bytes and in its values, and each input must end in a result or in one `SerError` of one line. Each test states the
processor time and the memory that one input may take. Beside those limits the whole process may allocate no more than
`--gigabytes`. A failure is printed by hypothesis with the smallest input that shows it, and the exit status is then 1.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1] / "tests"
STORES = "features/stores/test_hostile_stores.py"
TARGETS = {
    "head": "train/test_checkpoint.py::test_any_file_ends_in_a_head_or_one_error",
    "store (bytes)": f"{STORES}::test_any_change_of_bytes_ends_in_features_or_one_error",
    "store (content)": f"{STORES}::test_any_content_with_right_check_sums_ends_in_features_or_one_error",
    "record": "results/test_any_record.py::test_any_record_ends_in_a_result_or_one_error",
    "configuration": "results/test_any_record.py::test_any_configuration_ends_in_a_result_or_one_error",
    "scheme": "results/test_any_record.py::test_any_scheme_ends_in_classes_or_one_error",
    "table": "metadata/test_table.py::test_any_change_of_a_table_or_its_sidecar_ends_in_a_table_or_one_error",
    "delimited text": "metadata/test_table_files.py::test_any_delimited_text_ends_in_a_table_or_one_error",
    "JSONL": "metadata/test_table_files.py::test_any_json_lines_end_in_a_table_or_one_error",
    "YAML": "test_yaml_file.py::test_any_text_is_a_value_or_one_error",
    "NPZ": "features/importing/test_array_files.py::test_any_change_of_an_npz_ends_in_arrays_or_one_error",
    "pickle": "features/importing/test_pickles.py::test_any_pickle_ends_in_plain_content_or_one_error",
    "feature table": "features/importing/test_columns.py::test_any_table_of_features_ends_in_stores_or_one_error",
}
SECONDS, COUNT, BYTES = "SER_FUZZ_SECONDS", "SER_FUZZ_COUNT", "SER_FUZZ_BYTES"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS), metavar="NAME")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--gigabytes", type=float, default=8, help="address space of one target's process")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("fuzz"), help="for the counts and what pytest says")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print("| target | inputs | minutes | processor minutes | ended |\n| --- | --- | --- | --- | --- |", flush=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        failed = sum(pool.map(lambda name: run(name, given), given.targets))
    return min(failed, 1)


def run(name: str, given: argparse.Namespace) -> bool:
    """Run one target for its time, print its line, and say whether it failed."""
    stem = given.folder / name.replace(" ", "_")
    count, log = stem.with_suffix(".count").resolve(), stem.with_suffix(".log")
    count.unlink(missing_ok=True)
    setting = {SECONDS: given.minutes * 60, COUNT: count, BYTES: int(given.gigabytes * 2**30)}
    setting |= {"SER_FUZZ_EXAMPLES": 10**9, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(TESTS.parent)))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "fuzz",
        "-p",
        "no:cacheprovider",
        f"{TESTS}/{TARGETS[name]}",
    ]
    begin = time.monotonic()
    with log.open("w") as file:
        ended = subprocess.run(command, env=os.environ | {k: str(v) for k, v in setting.items()}, stdout=file, stderr=file)
    minutes = (time.monotonic() - begin) / 60
    inputs, processor = count.read_text().split() if count.is_file() else ("0", "0")
    failed = ended.returncode not in (0, pytest.ExitCode.INTERRUPTED)
    how = f"FAILED with {ended.returncode}, see {log}" if failed else "no failure"
    print(f"| {name} | {int(inputs):,} | {minutes:.1f} | {float(processor) / 60:.1f} | {how} |", flush=True)
    return failed


# What follows is the plugin of pytest that the process of one target loads.


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: Any) -> Iterator[None]:
    """Count the inputs of a property test and end the session when its time is over."""
    if COUNT in os.environ:
        limit = int(os.environ[BYTES])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        test = item.obj.hypothesis
        test.inner_test = counted(test.inner_test, Path(os.environ[COUNT]), time.monotonic() + float(os.environ[SECONDS]))
    yield


def counted(test: Any, file: Path, end: float) -> Any:
    inputs = 0

    @wraps(test)
    def once(*arguments: Any, **named: Any) -> Any:
        nonlocal inputs
        if (over := time.monotonic() > end) or inputs % 50 == 0:
            file.write_text(f"{inputs} {time.process_time():.0f}")
        if over:
            raise KeyboardInterrupt  # the only end that hypothesis does not take for a failure: pytest exits with 2
        inputs += 1
        return test(*arguments, **named)

    return once


if __name__ == "__main__":
    sys.exit(main())
