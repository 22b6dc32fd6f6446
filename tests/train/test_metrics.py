from pathlib import Path

from smidgen.train.metrics import EpochRow, read_rows, write_rows

ROWS = [EpochRow(i, i * 20, 1e-3 / i, 1.5, 0.5, 1.25, 1 / 3, 1 / 7, 0.1 * i) for i in (1, 2, 3)]


def test_rows_survive_the_file(tmp_path: Path) -> None:
    for count in (1, 3):  # the second time over the first
        write_rows(tmp_path / "metrics.csv", ROWS[:count])
        assert read_rows(tmp_path / "metrics.csv") == ROWS[:count]
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert (
        header
        == "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,val_balanced_accuracy,seconds"
    )
