from hypothesis import given
from hypothesis import strategies as st
from prettytable import PrettyTable

from smidgen.graph.table import parameter_table

NAMES = st.text("abc.123_", min_size=1, max_size=40)


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**12)), max_size=6))
def test_table_is_prettytables_to_the_letter(rows: list[tuple[str, int]]) -> None:
    table = PrettyTable(["Modules", "Parameters"])
    table.add_rows([list(row) for row in rows])
    *lines, total = parameter_table(rows).splitlines()
    assert "\n".join(lines) == str(table)
    assert total == f"Total Trainable Params: {sum(number for _, number in rows)}"
