"""What the person watching sees, and the count of what went otherwise than promised."""

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


class Show:
    """The stage. Every promise is checked as it is shown: a demo that lies fails."""

    def __init__(self) -> None:
        """Start with nothing broken."""
        self.console = Console(highlight=False)
        self.broken: list[str] = []
        self._act = 0

    def opening(self, title: str, text: str) -> None:
        """Say what will be seen."""
        self.console.print(Panel(text, title=f"[bold]{title}[/]", border_style="cyan", padding=(1, 2)))

    def act(self, title: str, text: str) -> None:
        """Begin an act."""
        self._act += 1
        self.console.print()
        self.console.rule(f"[bold cyan]{self._act}. {title}", align="left", style="cyan")
        self.console.print(Padding(text, (0, 0, 1, 3)), style="italic")

    def line(self, who: str, text: str, style: str = "") -> None:
        """Show one thing that happened."""
        self._row(Text(who, "dim"), Text(text, style))

    def scene(self, text: str) -> None:
        """Say which half of an act follows: the control, or the real thing."""
        self._row(Text(), Text(text, "bold underline"))

    def promise(self, kept: bool, text: str) -> None:
        """Show whether something came out as promised."""
        if not kept:
            self.broken.append(text)
        mark, style = ("✓", "bold green") if kept else ("✗", "bold red")
        self._row(Text(mark, style), Text(text, style))

    def _row(self, left: Text, right: Text) -> None:
        row = Table.grid(padding=(0, 2))
        row.add_column(width=12, justify="right")
        row.add_column(overflow="fold")
        row.add_row(left, right)
        self.console.print(row)

    def closing(self, seconds: float) -> int:
        """Sum up, and give the exit code."""
        self.console.print()
        if self.broken:
            self.console.print(Panel("\n".join(self.broken), title="broken promises", border_style="red"))
            return 1
        self.console.print(
            f"[bold green]Every promise kept[/] in {seconds:.0f} s. The temporary folder is gone."
        )
        return 0
