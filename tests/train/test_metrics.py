from pathlib import Path

from smidgen.train.metrics import Row, append_row, read_rows

ROWS = [Row(i, i * 20, 1e-3 / i, 1.5, 0.5, 1.25, 1 / 3, 0.1 * i) for i in (1, 2, 3)]


def test_rows_survive_the_file(tmp_path: Path) -> None:
    for row in ROWS:
        append_row(tmp_path / "metrics.csv", row)
    assert read_rows(tmp_path / "metrics.csv") == ROWS
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds"


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for row in ROWS:
        append_row(path, row)
    path.write_text(path.read_text()[:-9])
    assert read_rows(path) == ROWS[:2]
